#include "harness/trial/json_reader.hpp"

#include <sstream>

#include "servers/cli/cli.hpp"

namespace spawnpool::trial {

using nlohmann::json;
using std::chrono::nanoseconds;

void refuse(const std::string& path, const std::string& what) {
  throw cli::UsageError(path + ": " + what);
}

JsonReader::JsonReader(const json& value, std::string path)
    : value_(value), path_(std::move(path)) {
  if (!value_.is_object()) {
    refuse(path_, std::string("must be an object, not ") + value_.type_name());
  }
}

const json* JsonReader::find(const std::string& key) {
  known_.insert(key);
  const auto found = value_.find(key);
  return found == value_.end() ? nullptr : &*found;
}

const json& JsonReader::get(const std::string& key) {
  const json* const found = find(key);
  if (found == nullptr) {
    refuse(at(key), "missing");
  }
  return *found;
}

std::string JsonReader::text_or(const std::string& key, const std::string& otherwise) {
  const json* const found = find(key);
  return found == nullptr ? otherwise : text(*found, at(key));
}

std::string JsonReader::name(const std::string& key) {
  std::string value = text(key);
  if (value.empty()) {
    refuse(at(key), "must not be empty");
  }
  return value;
}

bool JsonReader::flag_or(const std::string& key, bool otherwise) {
  const json* const found = find(key);
  if (found == nullptr) {
    return otherwise;
  }
  if (!found->is_boolean()) {
    refuse(at(key), std::string("must be true or false, not ") + found->type_name());
  }
  return found->get<bool>();
}

double JsonReader::number(const std::string& key, double low, double high) {
  const json& value = get(key);
  if (!value.is_number() || value.get<double>() < low || value.get<double>() > high) {
    std::ostringstream range;
    range << "must be a number from " << low << " to " << high << ", not " << value;
    refuse(at(key), range.str());
  }
  return value.get<double>();
}

nanoseconds JsonReader::duration_or(const std::string& key, nanoseconds otherwise) {
  const json* const found = find(key);
  return found == nullptr ? otherwise : duration(*found, at(key));
}

std::vector<std::string> JsonReader::texts(const std::string& key) {
  std::vector<std::string> result;
  for (const auto& [item, path] : items(key)) {
    result.push_back(text(*item, path));
  }
  return result;
}

std::vector<int> JsonReader::cpus(const std::string& key) {
  std::set<int> result;
  for (const auto& [item, path] : items(key)) {
    result.insert(integer(*item, path, 0, 1023));
  }
  if (result.empty()) {
    refuse(at(key), "must name at least one CPU");
  }
  return {result.begin(), result.end()};
}

void JsonReader::close() const {
  for (const auto& [key, value] : value_.items()) {
    if (!known_.contains(key)) {
      refuse(at(key), "unknown key; known here: " + listed(known_));
    }
  }
}

std::vector<std::pair<const json*, std::string>> JsonReader::items(const std::string& key) {
  const json& list = get(key);
  if (!list.is_array()) {
    refuse(at(key), std::string("must be a list, not ") + list.type_name());
  }
  std::vector<std::pair<const json*, std::string>> result;
  for (std::size_t i = 0; i < list.size(); ++i) {
    result.emplace_back(&list[i], at(key) + "[" + std::to_string(i) + "]");
  }
  return result;
}

std::string JsonReader::text(const json& value, const std::string& path) {
  if (!value.is_string()) {
    refuse(path, std::string("must be a string, not ") + value.type_name());
  }
  return value.get<std::string>();
}

nanoseconds JsonReader::duration(const json& value, const std::string& path) {
  const auto parsed = cli::parse_duration(text(value, path));
  if (!parsed) {
    refuse(path, value.dump() + " is no duration; write it as 250ms, 10s or 2m");
  }
  return *parsed;
}

}  // namespace spawnpool::trial
