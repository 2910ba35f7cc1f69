// Conditions on a load's outcome, such as "p99>5ms".
#pragma once

#include <string>
#include <string_view>

#include "harness/load/run.hpp"

namespace spawnpool::load {

struct Condition {
  std::string text;    // as given
  std::string metric;  // mean, p50, p90, p99, p99.9, max: latency in µs; throughput: answers per
                       // second; errors, rejected, dropped: requests; error_share: 0 to 1
  enum class Order { below, at_most, above, at_least } order = Order::above;
  double bound = 0;  // in the metric's unit

  // Whether the outcome meets it. A latency of which there is none meets nothing.
  bool holds(const LoadOutcome& outcome) const;
};

// Reads METRIC (<|<=|>|>=) VALUE; the value of a latency is a duration ("5ms"), of a share may be a
// percentage ("1%"). Throws cli::UsageError.
Condition parse_condition(std::string_view text);

}  // namespace spawnpool::load
