// The numbers that are told of a load's outcome.
#pragma once

#include <optional>

#include "harness/load/run.hpp"

namespace spawnpool::load {

// Of a histogram, in microseconds.
struct LatencyStatistics {
  double mean = 0, p50 = 0, p90 = 0, p99 = 0, p99_9 = 0, max = 0;
};

// Nothing when the histogram is empty.
std::optional<LatencyStatistics> statistics_of(const Histogram& histogram);

// Answers received in the window, per second of it; 0 for a window without length.
double throughput(const LoadOutcome& outcome);

// Requests that failed or were answered otherwise than expected, and bytes that nobody asked for.
std::uint64_t error_count(const Recorder& recorder);

// error_count() as a share of the requests sent, 0 to 1.
double error_share(const Recorder& recorder);

}  // namespace spawnpool::load
