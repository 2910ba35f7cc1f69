#include "harness/load/saturation.hpp"

#include "harness/load/judgement.hpp"
#include "harness/load/statistics.hpp"

namespace spawnpool::load {
namespace {

constexpr double close_enough = 1.05;
constexpr double most_errors = 0.01;

}  // namespace

Saturation search_saturation(double first, double most, const TryRate& attempt,
                             const std::function<bool()>& stopped) {
  Saturation result;
  const auto holds = [&](double rate) {
    result.steps.push_back(attempt(rate));
    if (result.steps.back().holds && (!result.rate_rps || rate > *result.rate_rps)) {
      result.rate_rps = rate;
    }
    return result.steps.back().holds;
  };
  double low = 0;
  double high = first;
  bool failed = false;
  while (!stopped() && !failed && high <= most) {
    failed = !holds(high);
    if (!failed) {
      low = high;
      high *= 2;
    }
  }
  if (low == 0) {
    // Not even the first: search below it, as far as a sixty-fourth.
    low = first / 64;
  }
  while (!stopped() && failed && high / low > close_enough) {
    const double middle = (low + high) / 2;
    (holds(middle) ? low : high) = middle;
  }
  return result;
}

SaturationStep try_rate(const LoadSpec& spec, const Condition& bound, double rate_rps,
                        const std::atomic<bool>& stop) {
  LoadSpec step = spec;
  step.open_loop->rate = rate_rps;
  const LoadOutcome outcome = run_load(step, stop);
  const Recorder& recorder = outcome.total.recorder;
  SaturationStep result;
  result.offered_rps = rate_rps;
  result.achieved_rps = throughput(outcome);
  if (const auto latency = statistics_of(recorder.latency)) {
    result.p50_us = latency->p50;
    result.p99_us = latency->p99;
  }
  const std::vector<Doubt> doubts = judge(step, outcome, stop.load());
  if (!doubts.empty()) {
    result.reason = doubts.front().code + ": " + doubts.front().message;
  } else if (error_share(recorder) > most_errors) {
    result.reason = "more than 1 % of the requests failed";
  } else if (!bound.holds(outcome)) {
    result.reason = bound.text + " does not hold";
  }
  result.holds = result.reason.empty();
  return result;
}

}  // namespace spawnpool::load
