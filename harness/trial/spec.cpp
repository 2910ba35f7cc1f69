#include "harness/trial/spec.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "harness/trial/json_reader.hpp"
#include "harness/trial/scenario_spec.hpp"
#include "servers/cli/cli.hpp"

namespace spawnpool::trial {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using std::chrono::nanoseconds;

constexpr std::array models = {"thread-per-connection", "worker-pool"};
constexpr std::array drivers = {"builtin", "wrk"};
// wrk allocates 8 bytes for every microsecond of its time-out.
constexpr nanoseconds timeout_limit = 1min;

TargetSpec read_target(JsonReader reader) {
  TargetSpec target;
  target.name = reader.name("name");
  const bool ours = reader.find("model") != nullptr;
  if (ours == (reader.find("command") != nullptr)) {
    refuse(reader.at("model"), "give either model or command");
  }
  if (ours) {
    target.model = reader.choice("model", models);
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

nanoseconds read_timeout(JsonReader& reader, const std::string& driver) {
  const nanoseconds timeout = reader.duration("timeout");
  if (driver == "wrk" &&
      (timeout < 1s || timeout > timeout_limit || timeout % 1s != nanoseconds::zero())) {
    refuse("timeout", "must be whole seconds from 1s to 1m: wrk knows nothing finer");
  }
  if (timeout < 1ms || timeout > timeout_limit) {
    refuse("timeout", "must lie between 1ms and 1m");
  }
  return timeout;
}

}  // namespace

TrialSpec read_spec(std::string_view text) {
  json document;
  try {
    document = json::parse(text);
  } catch (const json::parse_error& error) {
    throw cli::UsageError("the specification is no JSON: " + std::string(error.what()));
  }
  JsonReader reader(document, "");
  TrialSpec spec;
  spec.target = read_target(reader.object("target"));

  json merged = reader.get("scenario");
  if (!merged.is_object()) {
    refuse("scenario", std::string("must be an object, not ") + merged.type_name());
  }
  if (const json* const point = reader.find("point")) {
    const JsonReader must_be_object(*point, "point");
    spec.point = *point;
    merged.merge_patch(*point);
  }
  spec.scenario = read_scenario(merged);

  spec.driver = reader.choice("driver", drivers);
  spec.warmup = reader.duration("warmup");
  spec.duration = reader.duration("duration");
  if (spec.duration < std::chrono::milliseconds(1) || spec.duration > std::chrono::hours(1)) {
    refuse("duration", "must lie between 1ms and 1h");
  }
  if (spec.warmup > std::chrono::hours(1)) {
    refuse("warmup", "must be at most 1h");
  }
  require_possible(spec.scenario, spec.driver, spec.duration);
  spec.timeout = read_timeout(reader, spec.driver);

  if (const json* const accounting = reader.find("accounting");
      accounting != nullptr && !accounting->is_null()) {
    JsonReader fields = reader.object("accounting");
    spec.accounting = AccountingSpec{
        fields.integer("connections", 1U, 100'000U),
        fields.integer("requests_per_connection", 2U, 100'000U), fields.flag_or("syscalls", false),
        fields.flag_or("instructions", false), fields.flag_or("perf", false)};
    fields.close();
  }
  if (const json* const limits = reader.find("limits")) {
    JsonReader fields(*limits, "limits");
    if (fields.find("error_share") != nullptr) {
      spec.limits.error_share = fields.number("error_share", 0, 1);
    }
    if (fields.find("foreign_cpu_share") != nullptr) {
      spec.limits.foreign_cpu_share = fields.number("foreign_cpu_share", 0, 1);
    }
    if (fields.find("steal_share") != nullptr) {
      spec.limits.steal_share = fields.number("steal_share", 0, 1);
    }
    spec.limits.ready = fields.duration_or("ready", spec.limits.ready);
    spec.limits.stop = fields.duration_or("stop", spec.limits.stop);
    fields.close();
  }
  if (reader.find("cpus") != nullptr) {
    JsonReader fields = reader.object("cpus");
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
