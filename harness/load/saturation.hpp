// The highest rate that a server holds a latency bound at.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/load/condition.hpp"
#include "harness/load/load_spec.hpp"

namespace spawnpool::load {

// One rate that was tried.
struct SaturationStep {
  double offered_rps = 0;
  double achieved_rps = 0;
  std::optional<double> p50_us = {}, p99_us = {};
  bool holds = false;
  std::string reason = {};  // why it does not hold
};

struct Saturation {
  std::optional<double> rate_rps;     // the highest that held; none when not even the first did
  std::vector<SaturationStep> steps;  // the whole curve, in the order tried
};

// Tries one rate.
using TryRate = std::function<SaturationStep(double rate_rps)>;

// Doubles the rate from `first` until it does not hold, at most up to `most`, then halves the gap
// until it is below a twentieth. Ends early when `stopped` says so. Every step tried is kept.
Saturation search_saturation(double first, double most, const TryRate& attempt,
                             const std::function<bool()>& stopped);

// A step with a real load: the bound has to hold, 99 % of the arrivals have to be sent, and no more
// than 1 % of them may fail.
SaturationStep try_rate(const LoadSpec& spec, const Condition& bound, double rate_rps,
                        const std::atomic<bool>& stop);

}  // namespace spawnpool::load
