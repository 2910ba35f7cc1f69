#include "harness/trial/spec.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <set>

#include "servers/cli/cli.hpp"

namespace spawnpool::trial {
namespace {

using nlohmann::json;
using std::chrono::nanoseconds;

constexpr std::array models = {"thread-per-connection", "worker-pool"};
constexpr std::array drivers = {"wrk"};
// wrk allocates 8 bytes for every microsecond of its time-out.
constexpr auto timeout_limit = std::chrono::minutes(1);

template <class Names>
std::string listed(const Names& names) {
  std::string text;
  for (const auto& name : names) {
    text += (text.empty() ? "" : ", ") + std::string(name);
  }
  return text;
}

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  throw cli::UsageError(path + ": " + what);
}

// A JSON object read key by key: what is asked for counts as known, and close() refuses the rest.
class Reader {
 public:
  Reader(const json& value, std::string path) : value_(value), path_(std::move(path)) {
    if (!value_.is_object()) {
      refuse(path_, std::string("must be an object, not ") + value_.type_name());
    }
  }

  // The value under `key`, or null when it is absent.
  const json* find(const std::string& key) {
    known_.insert(key);
    const auto found = value_.find(key);
    return found == value_.end() ? nullptr : &*found;
  }

  const json& get(const std::string& key) {
    const json* const found = find(key);
    if (found == nullptr) {
      refuse(at(key), "missing");
    }
    return *found;
  }

  std::string text(const std::string& key) { return text(get(key), at(key)); }
  std::string name(const std::string& key) {
    std::string value = text(key);
    if (value.empty()) {
      refuse(at(key), "must not be empty");
    }
    return value;
  }
  std::string text_or(const std::string& key, const std::string& otherwise) {
    const json* const found = find(key);
    return found == nullptr ? otherwise : text(*found, at(key));
  }

  bool flag_or(const std::string& key, bool otherwise) {
    const json* const found = find(key);
    if (found == nullptr) {
      return otherwise;
    }
    if (!found->is_boolean()) {
      refuse(at(key), std::string("must be true or false, not ") + found->type_name());
    }
    return found->get<bool>();
  }

  template <class Integer>
  Integer integer(const std::string& key, Integer low, Integer high) {
    return integer(get(key), at(key), low, high);
  }
  template <class Integer>
  Integer integer_or(const std::string& key, Integer otherwise, Integer low, Integer high) {
    const json* const found = find(key);
    return found == nullptr ? otherwise : integer(*found, at(key), low, high);
  }

  nanoseconds duration(const std::string& key) { return duration(get(key), at(key)); }
  nanoseconds duration_or(const std::string& key, nanoseconds otherwise) {
    const json* const found = find(key);
    return found == nullptr ? otherwise : duration(*found, at(key));
  }

  std::vector<std::string> texts(const std::string& key) {
    std::vector<std::string> result;
    for (const auto& [item, path] : items(key)) {
      result.push_back(text(*item, path));
    }
    return result;
  }

  std::vector<int> cpus(const std::string& key) {
    std::set<int> result;
    for (const auto& [item, path] : items(key)) {
      result.insert(integer(*item, path, 0, 1023));
    }
    if (result.empty()) {
      refuse(at(key), "must name at least one CPU");
    }
    return {result.begin(), result.end()};
  }

  Reader object(const std::string& key) { return {get(key), at(key)}; }

  std::string at(const std::string& key) const { return path_.empty() ? key : path_ + "." + key; }

  // Refuses what was never asked for.
  void close() const {
    for (const auto& [key, value] : value_.items()) {
      if (!known_.contains(key)) {
        refuse(at(key), "unknown key; known here: " + listed(known_));
      }
    }
  }

  static std::string text(const json& value, const std::string& path) {
    if (!value.is_string()) {
      refuse(path, std::string("must be a string, not ") + value.type_name());
    }
    return value.get<std::string>();
  }

 private:
  std::vector<std::pair<const json*, std::string>> items(const std::string& key) {
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

  template <class Integer>
  static Integer integer(const json& value, const std::string& path, Integer low, Integer high) {
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

  static nanoseconds duration(const json& value, const std::string& path) {
    const auto parsed = cli::parse_duration(text(value, path));
    if (!parsed) {
      refuse(path, value.dump() + " is no duration; write it as 250ms, 10s or 2m");
    }
    return *parsed;
  }

  const json& value_;
  std::string path_;
  std::set<std::string> known_;
};

// RFC 9110's token: what methods and header names are made of.
bool is_token(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(c)) != std::string_view::npos;
  });
}

bool is_field_value(const std::string& text) {
  return std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return c == '\t' || (c >= ' ' && c != 127); });
}

TargetSpec read_target(Reader reader) {
  TargetSpec target;
  target.name = reader.name("name");
  const bool ours = reader.find("model") != nullptr;
  if (ours == (reader.find("command") != nullptr)) {
    refuse(reader.at("model"), "give either model or command");
  }
  if (ours) {
    target.model = reader.name("model");
    if (std::find(models.begin(), models.end(), target.model) == models.end()) {
      refuse(reader.at("model"), "unknown model '" + target.model + "'; known: " + listed(models));
    }
    if (reader.find("options") != nullptr) {
      target.options = reader.texts("options");
    }
    target.ready_line = true;
    reader.close();
    return target;
  }
  target.command = reader.texts("command");
  if (target.command.empty() || target.command.front().empty()) {
    refuse(reader.at("command"), "must name a program");
  }
  if (reader.find("port") != nullptr) {
    target.port = reader.integer<std::uint16_t>("port", 1, 65535);
  }
  target.ready_line = reader.flag_or("ready_line", false);
  const bool placeholder = std::any_of(
      target.command.begin(), target.command.end(),
      [](const std::string& argument) { return argument.find("{port}") != std::string::npos; });
  if (int{placeholder} + int{target.port.has_value()} + int{target.ready_line} != 1) {
    refuse(reader.at("command"),
           "needs exactly one way to find its port: \"{port}\" in an argument, \"port\": N or "
           "\"ready_line\": true");
  }
  reader.close();
  return target;
}

RequestSpec read_request(Reader reader) {
  RequestSpec request;
  request.method = reader.text("method");
  if (!is_token(request.method)) {
    refuse(reader.at("method"), "'" + request.method + "' is no HTTP method");
  }
  if (request.method == "HEAD" || request.method == "CONNECT") {
    refuse(reader.at("method"), "the driver wrk cannot read the answers to " + request.method);
  }
  request.path = reader.text("path");
  if (!request.path.starts_with('/') ||
      std::any_of(request.path.begin(), request.path.end(),
                  [](unsigned char c) { return c <= ' ' || c >= 127; })) {
    refuse(reader.at("path"), "must begin with / and hold no blanks (percent-encode them)");
  }
  if (const json* const headers = reader.find("headers")) {
    Reader fields(*headers, reader.at("headers"));
    for (const auto& [name, value] : headers->items()) {
      request.headers[name] = fields.text(name);
      if (!is_token(name) || !is_field_value(request.headers[name])) {
        refuse(fields.at(name), "is no HTTP header");
      }
      std::string lower = name;
      std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) {
        return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
      });
      for (const char* own : {"host", "connection", "content-length", "transfer-encoding"}) {
        if (lower == own) {
          refuse(fields.at(name), "is set by the harness; leave it out");
        }
      }
    }
  }
  request.body = reader.text_or("body", "");
  reader.close();
  return request;
}

ExpectSpec read_expect(Reader reader) {
  ExpectSpec expect;
  expect.status = reader.integer("status", 200U, 599U);
  expect.body = reader.text("body");
  reader.close();
  return expect;
}

ScenarioSpec read_scenario(const json& merged) {
  Reader reader(merged, "scenario");
  ScenarioSpec scenario;
  scenario.name = reader.name("name");
  scenario.request = read_request(reader.object("request"));
  scenario.expect = read_expect(reader.object("expect"));
  scenario.requests_per_connection =
      reader.integer_or("requests_per_connection", 0U, 0U, 1'000'000'000U);
  if (reader.find("connections") == nullptr) {
    refuse("point.connections", "missing here and in scenario");
  }
  scenario.connections = reader.integer("connections", 1U, 1'000'000U);
  reader.close();
  return scenario;
}

}  // namespace

TrialSpec read_spec(std::string_view text) {
  json document;
  try {
    document = json::parse(text);
  } catch (const json::parse_error& error) {
    throw cli::UsageError("the specification is no JSON: " + std::string(error.what()));
  }
  Reader reader(document, "");
  TrialSpec spec;
  spec.target = read_target(reader.object("target"));

  json merged = reader.get("scenario");
  if (!merged.is_object()) {
    refuse("scenario", std::string("must be an object, not ") + merged.type_name());
  }
  if (const json* const point = reader.find("point")) {
    const Reader must_be_object(*point, "point");
    spec.point = *point;
    merged.merge_patch(*point);
  }
  spec.scenario = read_scenario(merged);

  spec.driver = reader.name("driver");
  if (std::find(drivers.begin(), drivers.end(), spec.driver) == drivers.end()) {
    refuse("driver", "unknown driver '" + spec.driver + "'; known: " + listed(drivers));
  }
  if (spec.scenario.requests_per_connection > 1) {
    refuse("scenario.requests_per_connection",
           "the driver wrk can keep connections (0) or use each for one request (1), not " +
               std::to_string(spec.scenario.requests_per_connection));
  }

  spec.warmup = reader.duration("warmup");
  spec.duration = reader.duration("duration");
  if (spec.duration < std::chrono::milliseconds(1) || spec.duration > std::chrono::hours(1)) {
    refuse("duration", "must lie between 1ms and 1h");
  }
  if (spec.warmup > std::chrono::hours(1)) {
    refuse("warmup", "must be at most 1h");
  }
  spec.timeout = reader.duration("timeout");
  if (spec.timeout < std::chrono::seconds(1) || spec.timeout > timeout_limit ||
      spec.timeout % std::chrono::seconds(1) != nanoseconds::zero()) {
    refuse("timeout", "must be whole seconds from 1s to 1m: wrk knows nothing finer");
  }

  if (const json* const accounting = reader.find("accounting");
      accounting != nullptr && !accounting->is_null()) {
    Reader fields = reader.object("accounting");
    spec.accounting = AccountingSpec{fields.integer("connections", 1U, 100'000U),
                                     fields.integer("requests_per_connection", 2U, 100'000U)};
    fields.close();
  }
  if (const json* const limits = reader.find("limits")) {
    Reader fields(*limits, "limits");
    if (const json* const share = fields.find("error_share")) {
      if (!share->is_number() || share->get<double>() < 0 || share->get<double>() > 1) {
        refuse("limits.error_share", "must be a number from 0 to 1, not " + share->dump());
      }
      spec.limits.error_share = share->get<double>();
    }
    spec.limits.ready = fields.duration_or("ready", spec.limits.ready);
    spec.limits.stop = fields.duration_or("stop", spec.limits.stop);
    fields.close();
  }
  if (reader.find("cpus") != nullptr) {
    Reader fields = reader.object("cpus");
    spec.cpus = CpusSpec{fields.cpus("server"), fields.cpus("generator")};
    fields.close();
  }
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  spec.block = reader.integer_or<std::int64_t>("block", 0, 0, most);
  spec.position = reader.integer_or<std::int64_t>("position", 0, 0, most);
  spec.seed =
      reader.integer_or<std::uint64_t>("seed", 0, 0, std::numeric_limits<std::uint64_t>::max());
  reader.close();
  return spec;
}

}  // namespace spawnpool::trial
