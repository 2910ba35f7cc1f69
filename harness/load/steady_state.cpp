#include "harness/load/steady_state.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace spawnpool::load {
namespace {

// With fewer values no change reaches the significance asked for.
constexpr std::size_t fewest = 10;
constexpr double significant = 0.01;
constexpr double matters = 0.10;
// Above this a change is called a trend: with a step in the middle of a noisy series tau is 1/2.
constexpr double trend_tau = 0.75;

int sign(double difference) {
  return (difference > 0 ? 1 : 0) - (difference < 0 ? 1 : 0);
}

double median(std::span<const double> values) {
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  const std::size_t middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

void judge(const std::string& name, std::span<const double> values, SteadyState& state) {
  if (values.size() < fewest) {
    return;
  }
  const ChangePoint change = change_point(values);
  const double before = median(values.first(change.at));
  const double after = median(values.subspan(change.at));
  if (change.p_value < significant && std::abs(after - before) > matters * before) {
    const bool trend = std::abs(rank_trend(values)) > trend_tau;
    state.evidence.push_back(
        {name, trend ? "trend" : "step", change.p_value, before, after, change.at});
  }
}

}  // namespace

ChangePoint change_point(std::span<const double> values) {
  const std::size_t n = values.size();
  ChangePoint result{1, 1};
  long sum = 0;
  long largest = 0;
  for (std::size_t t = 0; t + 1 < n; ++t) {
    // U(t) = U(t-1) + sum of sign(x_t - x_j) over all j
    for (const double other : values) {
      sum += sign(values[t] - other);
    }
    if (std::labs(sum) > largest) {
      largest = std::labs(sum);
      result.at = t + 1;
    }
  }
  const auto count = static_cast<double>(n);
  const auto k = static_cast<double>(largest);
  result.p_value =
      std::min(1.0, 2 * std::exp(-6 * k * k / (count * count * count + count * count)));
  return result;
}

double rank_trend(std::span<const double> values) {
  long sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    for (std::size_t j = i + 1; j < values.size(); ++j) {
      sum += sign(values[j] - values[i]);
    }
  }
  const auto n = static_cast<double>(values.size());
  return static_cast<double>(sum) / (n * (n - 1) / 2);
}

SteadyState judge_steady_state(std::span<const Interval> intervals) {
  constexpr double per_second = 1e9 / static_cast<double>(Recorder::interval.count());
  // A long load is judged in as many parts as can be compared pair by pair at no cost.
  constexpr std::size_t most = 1000;
  const std::size_t group = (intervals.size() + most - 1) / std::max<std::size_t>(most, 1);
  std::vector<double> throughput;
  std::vector<double> latency;
  for (std::size_t i = 0; group > 0 && i + group <= intervals.size(); i += group) {
    std::uint64_t answered = 0;
    std::uint64_t sum_us = 0;
    for (const Interval& interval : intervals.subspan(i, group)) {
      answered += interval.answered;
      sum_us += interval.latency_sum_us;
    }
    throughput.push_back(static_cast<double>(answered) * per_second / static_cast<double>(group));
    if (answered > 0) {
      latency.push_back(static_cast<double>(sum_us) / static_cast<double>(answered));
    }
  }
  SteadyState state;
  if (throughput.size() < fewest) {
    state.reason = "the window has fewer than 10 intervals of 100 ms";
    return state;
  }
  judge("throughput", throughput, state);
  judge("latency", latency, state);
  for (Change& change : state.evidence) {
    change.at *= group;
  }
  state.steady = state.evidence.empty();
  return state;
}

}  // namespace spawnpool::load
