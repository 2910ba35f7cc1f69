// Whether what was measured says something about the target.
#pragma once

#include <vector>

#include "harness/trial/result.hpp"
#include "harness/trial/wrk_report.hpp"

namespace spawnpool::trial {

// Errors per attempted request. Late answers and bad statuses are answers too, and counted once.
double error_share(const WrkReport& report);

struct LoadQuality {
  double generator_utilization = 0;  // 0 to 1
  double server_utilization = 0;     // 0 to 1
  bool shared_core = false;          // then neither utilisation tells who was the limit
  double error_share_limit = 0;
};

// The reasons, if any, for which a load says less than it seems: generator-bound, error-share.
std::vector<Reason> doubts(const WrkReport& report, const LoadQuality& quality);

// Mean and quantiles by nearest rank over all answers. Those that came after the time-out are known
// only to be later than all others: a number that would need them is missing.
LatencyResult latency_result(const WrkReport& report);

}  // namespace spawnpool::trial
