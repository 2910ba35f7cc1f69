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
// Statistics 28, 1979): the most likely place of a change in the median, and the probability of one
// as marked in a series without, from up to 9,999 random orders of the values (his approximation is
// far too high for the few values of a short load). Sees steps and trends. The same result for the
// same values. At least 2.
struct ChangePoint {
  std::size_t at = 0;
  double p_value = 1;
};
ChangePoint change_point(std::span<const double> values);

// Kendall's tau of the values against their order, from -1 (falls throughout) to 1. At least 2.
double rank_trend(std::span<const double> values);

// A series is not steady when the change is significant (p < 0.01) and matters: its medians before
// and after differ by more than a tenth. An interval that is only partly in the window
// is left out; one without answers has no latency. A load is steady when both series are; where one
// has fewer than 10 values and the other no change, that cannot be told.
SteadyState judge_steady_state(std::span<const Interval> intervals, nanoseconds window);

}  // namespace spawnpool::load
