#include "harness/load/steady_state.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <random>
#include <utility>

namespace spawnpool::load {
namespace {

// Of ten values that rise throughout, or step up after the fifth, one order in 126 tells as much:
// p = 0.008. With fewer values no change reaches the significance asked for.
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

// A value for each part of the window that has one, and which part it is of.
struct Series {
  std::string name;
  std::vector<double> values = {};
  std::vector<std::size_t> parts = {};
};

void judge(const Series& series, SteadyState& state) {
  const std::span<const double> values = series.values;
  if (values.size() < fewest) {
    state.reason = "fewer than " + std::to_string(fewest) + " intervals of " +
                   std::to_string(Recorder::interval / std::chrono::milliseconds(1)) +
                   " ms have a " + series.name;
    return;
  }
  const ChangePoint change = change_point(values);
  const double before = median(values.first(change.at));
  const double after = median(values.subspan(change.at));
  if (change.p_value < significant && std::abs(after - before) > matters * before) {
    const bool trend = std::abs(rank_trend(values)) > trend_tau;
    state.evidence.push_back({series.name, trend ? "trend" : "step", change.p_value, before, after,
                              series.parts[change.at]});
  }
}

}  // namespace

ChangePoint change_point(std::span<const double> values) {
  // U(t) is the sum of the first t scores. Where nothing changes, every order is as likely.
  std::vector<long> scores(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    for (const double other : values) {
      scores[i] += sign(values[i] - other);
    }
  }
  const auto most = [&scores] {
    std::pair<long, std::size_t> found{0, 1};
    long sum = 0;
    for (std::size_t t = 0; t + 1 < scores.size(); ++t) {
      sum += scores[t];
      if (std::labs(sum) > found.first) {
        found = {std::labs(sum), t + 1};
      }
    }
    return found;
  };
  const auto [statistic, at] = most();
  // Random orders, the same for the same values. What is not rare is known after few of them.
  constexpr int most_orders = 9999;
  constexpr int enough = 200;
  std::mt19937 random;  // NOLINT(cert-msc32-c,cert-msc51-cpp): repeats with its fixed seed
  int orders = 0;
  int as_much = 0;
  while (orders < most_orders && as_much < enough) {
    std::shuffle(scores.begin(), scores.end(), random);
    ++orders;
    as_much += most().first >= statistic ? 1 : 0;
  }
  return {at, as_much < enough ? (as_much + 1.0) / (orders + 1)
                               : static_cast<double>(as_much) / orders};
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

SteadyState judge_steady_state(std::span<const Interval> intervals, nanoseconds window) {
  const auto whole = static_cast<std::size_t>(window / Recorder::interval);
  intervals = intervals.first(std::min(whole, intervals.size()));
  constexpr double per_second = 1e9 / static_cast<double>(Recorder::interval.count());
  // A long load is judged in as many parts as can be put into thousands of orders at no cost.
  constexpr std::size_t most = 200;
  const std::size_t group = std::max<std::size_t>((intervals.size() + most - 1) / most, 1);
  Series throughput{"throughput"};
  Series latency{"latency"};
  for (std::size_t i = 0; i + group <= intervals.size(); i += group) {
    std::uint64_t answered = 0;
    std::uint64_t sum_us = 0;
    for (const Interval& interval : intervals.subspan(i, group)) {
      answered += interval.answered;
      sum_us += interval.latency_sum_us;
    }
    throughput.values.push_back(static_cast<double>(answered) * per_second /
                                static_cast<double>(group));
    throughput.parts.push_back(i);
    if (answered > 0) {
      latency.values.push_back(static_cast<double>(sum_us) / static_cast<double>(answered));
      latency.parts.push_back(i);
    }
  }
  SteadyState state;
  judge(throughput, state);
  judge(latency, state);
  if (!state.evidence.empty()) {
    state.steady = false;
    state.reason.clear();
  } else if (state.reason.empty()) {
    state.steady = true;
  }
  return state;
}

}  // namespace spawnpool::load
