// Whether a load was in a steady state, judged from its time series.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "harness/load/recorder.hpp"

namespace spawnpool::load {

// A change found in a series.
struct Change {
  std::string series;  // "throughput" or "latency"
  std::string kind;    // "step", or "trend" where it went up or down throughout
  double p_value = 0;
  double before = 0, after = 0;  // medians; requests per second, or microseconds
  std::size_t at = 0;            // the interval at which the second part begins
};

struct SteadyState {
  std::optional<bool> steady;  // nothing when it could not be judged
  std::string reason;          // then why
  std::vector<Change> evidence;
};

// Pettitt's test (A. N. Pettitt, A non-parametric approach to the change-point problem, Applied
// Statistics 28, 1979): the most likely place of a change in the median, and the approximate
// probability of one as marked in a series without. Sees steps and trends. At least 2 values.
struct ChangePoint {
  std::size_t at = 0;
  double p_value = 1;
};
ChangePoint change_point(std::span<const double> values);

// Kendall's tau of the values against their order, from -1 (falls throughout) to 1. At least 2.
double rank_trend(std::span<const double> values);

// A series is not steady when the change is significant (p < 0.01) and matters: its medians before
// and after differ by more than a tenth. An interval that is only partly in the window is left out,
// and so is latency where none was measured.
SteadyState judge_steady_state(std::span<const Interval> intervals);

}  // namespace spawnpool::load
