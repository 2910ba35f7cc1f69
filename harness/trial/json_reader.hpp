// Reads JSON key by key: every value has its path in what is said about it, and a key that nobody
// asked for is refused.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace spawnpool::trial {

// Throws cli::UsageError "path: what".
[[noreturn]] void refuse(const std::string& path, const std::string& what);

// "a, b, c"
template <class Names>
std::string listed(const Names& names) {
  std::string text;
  for (const auto& name : names) {
    text += (text.empty() ? "" : ", ") + std::string(name);
  }
  return text;
}

// A JSON object: what is asked for counts as known, and close() refuses the rest. Every function
// throws cli::UsageError for what is missing, of the wrong type or out of range. `value` must
// outlive it.
class JsonReader {
 public:
  JsonReader(const nlohmann::json& value, std::string path);

  // The value under `key`, or null when it is absent.
  const nlohmann::json* find(const std::string& key);
  const nlohmann::json& get(const std::string& key);

  std::string text(const std::string& key) { return text(get(key), at(key)); }
  std::string text_or(const std::string& key, const std::string& otherwise);
  // A text that is not empty.
  std::string name(const std::string& key);
  // One of `known`.
  template <class Names>
  std::string choice(const std::string& key, const Names& known) {
    std::string value = name(key);
    for (const auto& one : known) {
      if (value == one) {
        return value;
      }
    }
    refuse(at(key), "unknown " + key + " '" + value + "'; known: " + listed(known));
  }

  bool flag_or(const std::string& key, bool otherwise);

  template <class Integer>
  Integer integer(const std::string& key, Integer low, Integer high) {
    return integer(get(key), at(key), low, high);
  }
  template <class Integer>
  Integer integer_or(const std::string& key, Integer otherwise, Integer low, Integer high) {
    const nlohmann::json* const found = find(key);
    return found == nullptr ? otherwise : integer(*found, at(key), low, high);
  }

  double number(const std::string& key, double low, double high);

  std::chrono::nanoseconds duration(const std::string& key) { return duration(get(key), at(key)); }
  std::chrono::nanoseconds duration_or(const std::string& key, std::chrono::nanoseconds otherwise);

  std::vector<std::string> texts(const std::string& key);
  // At least one, each once, in ascending order.
  std::vector<int> cpus(const std::string& key);

  JsonReader object(const std::string& key) { return {get(key), at(key)}; }

  std::string at(const std::string& key) const { return path_.empty() ? key : path_ + "." + key; }

  // Refuses what was never asked for.
  void close() const;

 private:
  std::vector<std::pair<const nlohmann::json*, std::string>> items(const std::string& key);
  static std::string text(const nlohmann::json& value, const std::string& path);
  static std::chrono::nanoseconds duration(const nlohmann::json& value, const std::string& path);

  template <class Integer>
  static Integer integer(const nlohmann::json& value, const std::string& path, Integer low,
                         Integer high) {
    const bool whole = value.is_number_integer();
    if (whole && value.is_number_unsigned()) {
      const auto number = value.get<std::uint64_t>();
      if (number <= static_cast<std::uint64_t>(high) &&
          (low <= 0 || number >= static_cast<std::uint64_t>(low))) {
        return static_cast<Integer>(number);
      }
    } else if (whole) {
      const auto number = value.get<std::int64_t>();  // negative: the parser keeps signs apart
      if constexpr (std::numeric_limits<Integer>::is_signed) {
        if (number >= static_cast<std::int64_t>(low)) {
          return static_cast<Integer>(number);
        }
      }
    }
    refuse(path, "must be a whole number from " + std::to_string(low) + " to " +
                     std::to_string(high) + ", not " + value.dump());
  }

  const nlohmann::json& value_;
  std::string path_;
  std::set<std::string> known_;
};

}  // namespace spawnpool::trial
