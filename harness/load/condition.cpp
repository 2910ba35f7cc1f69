#include "harness/load/condition.hpp"

#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "harness/load/statistics.hpp"
#include "servers/cli/cli.hpp"

namespace spawnpool::load {
namespace {

constexpr std::array<std::string_view, 6> latencies = {"mean", "p50", "p90", "p99", "p99.9", "max"};
constexpr std::array<std::string_view, 5> others = {"throughput", "errors", "error_share",
                                                    "rejected", "dropped"};

bool is_latency(std::string_view metric) {
  for (const std::string_view each : latencies) {
    if (metric == each) {
      return true;
    }
  }
  return false;
}

std::optional<double> value_of(std::string_view metric, const LoadOutcome& outcome) {
  const Recorder& recorder = outcome.total.recorder;
  if (is_latency(metric)) {
    const auto latency = statistics_of(recorder.latency);
    if (!latency) {
      return std::nullopt;
    }
    const std::array values = {latency->mean, latency->p50,   latency->p90,
                               latency->p99,  latency->p99_9, latency->max};
    for (std::size_t i = 0; i < latencies.size(); ++i) {
      if (metric == latencies[i]) {
        return values[i];
      }
    }
  }
  if (metric == "throughput") {
    return throughput(outcome);
  }
  if (metric == "errors") {
    return static_cast<double>(error_count(recorder));
  }
  if (metric == "error_share") {
    return error_share(recorder);
  }
  return static_cast<double>(metric == "rejected" ? recorder.rejected : recorder.counts.dropped);
}

}  // namespace

bool Condition::holds(const LoadOutcome& outcome) const {
  const std::optional<double> value = value_of(metric, outcome);
  if (!value) {
    return false;
  }
  switch (order) {
    case Order::below:
      return *value < bound;
    case Order::at_most:
      return *value <= bound;
    case Order::above:
      return *value > bound;
    case Order::at_least:
      break;
  }
  return *value >= bound;
}

Condition parse_condition(std::string_view text) {
  const auto refuse = [&](const std::string& why) {
    throw cli::UsageError("condition '" + std::string(text) + "': " + why);
  };
  const std::size_t at = text.find_first_of("<>");
  if (at == std::string_view::npos) {
    refuse("write it as p99>5ms, errors>0 or throughput<1000");
  }
  const bool equal = at + 1 < text.size() && text[at + 1] == '=';
  Condition condition;
  condition.text = text;
  condition.metric = text.substr(0, at);
  using Order = Condition::Order;
  condition.order = text[at] == '<' ? (equal ? Order::at_most : Order::below)
                                    : (equal ? Order::at_least : Order::above);
  const std::string_view value = text.substr(at + (equal ? 2 : 1));
  if (is_latency(condition.metric)) {
    const auto duration = cli::parse_duration(value);
    if (!duration) {
      refuse("'" + std::string(value) + "' is no duration; write it as 250us, 5ms or 1s");
    }
    condition.bound = static_cast<double>(duration->count()) / 1000;
    return condition;
  }
  bool known = false;
  std::string names;
  for (const std::string_view each : latencies) {
    names += std::string(each) + ", ";
  }
  for (const std::string_view each : others) {
    known = known || condition.metric == each;
    names += std::string(each) + (each == others.back() ? "" : ", ");
  }
  if (!known) {
    refuse("unknown metric '" + condition.metric + "'; known: " + names);
  }
  const bool percent = value.ends_with('%') && condition.metric == "error_share";
  const char* const end = value.data() + value.size() - (percent ? 1 : 0);
  const auto [rest, error] = std::from_chars(value.data(), end, condition.bound);
  if (error != std::errc{} || rest != end) {
    refuse("'" + std::string(value) + "' is no number");
  }
  condition.bound /= percent ? 100 : 1;
  return condition;
}

}  // namespace spawnpool::load
