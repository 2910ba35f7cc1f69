#include "harness/load/statistics.hpp"

#include <algorithm>
#include <numeric>

namespace spawnpool::load {

std::optional<LatencyStatistics> statistics_of(const Histogram& histogram) {
  if (histogram.count() == 0) {
    return std::nullopt;
  }
  const auto at = [&](double q) { return static_cast<double>(histogram.value_at_quantile(q)); };
  return LatencyStatistics{histogram.mean(), at(0.5),   at(0.9),
                           at(0.99),         at(0.999), static_cast<double>(histogram.max())};
}

double throughput(const LoadOutcome& outcome) {
  const double window = std::chrono::duration<double>(outcome.window).count();
  return window > 0 ? static_cast<double>(outcome.total.recorder.answers_in_window) / window : 0;
}

std::uint64_t error_count(const Recorder& recorder) {
  return std::accumulate(recorder.errors.begin(), recorder.errors.end(), std::uint64_t{0});
}

double error_share(const Recorder& recorder) {
  const std::uint64_t errors = error_count(recorder);
  return errors == 0
             ? 0
             : std::min(1.0,
                        static_cast<double>(errors) /
                            static_cast<double>(std::max<std::uint64_t>(recorder.counts.sent, 1)));
}

}  // namespace spawnpool::load
