#include "harness/trial/scenario_spec.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "harness/trial/json_reader.hpp"

namespace spawnpool::trial {
namespace {

using nlohmann::json;
using std::chrono::nanoseconds;

constexpr std::array arrival_kinds = {"poisson", "uniform"};
constexpr unsigned many = 1'000'000;

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

RequestSpec read_request(JsonReader reader) {
  RequestSpec request;
  request.method = reader.text("method");
  if (!is_token(request.method)) {
    refuse(reader.at("method"), "'" + request.method + "' is no HTTP method");
  }
  if (request.method == "CONNECT") {
    refuse(reader.at("method"), "CONNECT asks for a tunnel, not for an answer");
  }
  request.path = reader.text("path");
  if (!request.path.starts_with('/') ||
      std::any_of(request.path.begin(), request.path.end(),
                  [](unsigned char c) { return c <= ' ' || c >= 127; })) {
    refuse(reader.at("path"), "must begin with / and hold no blanks (percent-encode them)");
  }
  if (const json* const headers = reader.find("headers")) {
    JsonReader fields(*headers, reader.at("headers"));
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

ExpectSpec read_expect(JsonReader reader) {
  ExpectSpec expect;
  expect.status = reader.integer("status", 200U, 599U);
  if (reader.find("body_bytes") == nullptr) {
    expect.body = reader.text("body");
    expect.body_bytes = expect.body->size();
  } else if (reader.find("body") == nullptr) {
    expect.body_bytes = reader.integer<std::uint64_t>("body_bytes", 0, 256U << 20);
  } else {
    refuse(reader.at("body"), "give either body or body_bytes");
  }
  reader.close();
  return expect;
}

nanoseconds positive(JsonReader& reader, const std::string& key) {
  const nanoseconds value = reader.duration(key);
  if (value <= nanoseconds::zero()) {
    refuse(reader.at(key), "must be longer than 0s");
  }
  return value;
}

BurstSpec read_burst(JsonReader reader) {
  BurstSpec burst;
  burst.size = reader.integer("size", 1U, many);
  burst.every = positive(reader, "every");
  reader.close();
  return burst;
}

BackgroundSpec read_background(JsonReader reader) {
  BackgroundSpec background;
  background.idle = reader.integer_or("idle", 0U, 0U, many);
  background.slow_senders = reader.integer_or("slow_senders", 0U, 0U, many);
  background.slow_readers = reader.integer_or("slow_readers", 0U, 0U, many);
  if (reader.find("bytes_per_second") != nullptr) {
    background.bytes_per_second = reader.integer("bytes_per_second", 1U, many);
  }
  reader.close();
  return background;
}

// When requests are sent: the keys of the closed and of the open loop.
void read_pacing(JsonReader& reader, ScenarioSpec& scenario) {
  scenario.think_time = reader.duration_or("think_time", nanoseconds::zero());
  if (reader.find("rate") != nullptr) {
    scenario.rate = reader.number("rate", 0.001, 10'000'000);
  }
  if (reader.find("burst") != nullptr) {
    scenario.burst = read_burst(reader.object("burst"));
  }
  if (reader.find("arrivals") != nullptr) {
    scenario.arrivals = reader.choice("arrivals", arrival_kinds);
    if (!scenario.rate) {
      refuse(reader.at("arrivals"), "says how a rate is spread; give rate, or leave it out");
    }
  }
  if (scenario.rate && scenario.burst) {
    refuse(reader.at("burst"), "give either rate or burst");
  }
  if (scenario.open_loop() && scenario.think_time > nanoseconds::zero()) {
    refuse(reader.at("think_time"), "is for the closed loop; leave it out, or rate and burst");
  }
}

// The key for which a scenario is beyond wrk, or nothing.
std::string beyond_wrk(const ScenarioSpec& scenario) {
  const std::pair<const char*, bool> asked[] = {
      {"pipeline", scenario.pipeline > 1},
      {"think_time", scenario.think_time > nanoseconds::zero()},
      {"rate", scenario.rate.has_value()},
      {"burst", scenario.burst.has_value()},
      {"background", scenario.background.any()},
      {"shutdown_after", scenario.shutdown_after.has_value()}};
  for (const auto& [key, present] : asked) {
    if (present) {
      return key;
    }
  }
  return {};
}

}  // namespace

ScenarioSpec read_scenario(const json& merged) {
  JsonReader reader(merged, "scenario");
  ScenarioSpec scenario;
  scenario.name = reader.name("name");
  scenario.request = read_request(reader.object("request"));
  scenario.expect = read_expect(reader.object("expect"));
  if (scenario.request.method == "HEAD" && scenario.expect.body_bytes > 0) {
    refuse("scenario.expect.body", "an answer to HEAD has none; write it as \"\"");
  }
  scenario.requests_per_connection =
      reader.integer_or("requests_per_connection", 0U, 0U, 1'000'000'000U);
  if (reader.find("connections") == nullptr) {
    refuse("point.connections", "missing here and in scenario");
  }
  scenario.connections = reader.integer("connections", 1U, many);
  scenario.pipeline = reader.integer_or("pipeline", 1U, 1U, 1024U);
  read_pacing(reader, scenario);
  if (reader.find("background") != nullptr) {
    scenario.background = read_background(reader.object("background"));
  }
  if (reader.find("shutdown_after") != nullptr) {
    scenario.shutdown_after = positive(reader, "shutdown_after");
  }
  reader.close();
  return scenario;
}

void require_possible(const ScenarioSpec& scenario, const std::string& driver,
                      nanoseconds duration) {
  if (scenario.shutdown_after && *scenario.shutdown_after >= duration) {
    refuse("scenario.shutdown_after", "must be shorter than the duration");
  }
  if (scenario.burst && scenario.burst->every > duration) {
    refuse("scenario.burst.every", "must be at most the duration, or no burst is in the window");
  }
  if (driver != "wrk") {
    return;
  }
  if (scenario.request.method == "HEAD") {
    refuse("scenario.request.method",
           "the driver wrk cannot read the answers to HEAD; take the driver builtin");
  }
  if (scenario.requests_per_connection > 1) {
    refuse("scenario.requests_per_connection",
           "the driver wrk can keep connections (0) or use each for one request (1), not " +
               std::to_string(scenario.requests_per_connection) + "; take the driver builtin");
  }
  if (const std::string key = beyond_wrk(scenario); !key.empty()) {
    refuse("scenario." + key, "the driver wrk cannot do this; take the driver builtin");
  }
}

}  // namespace spawnpool::trial
