// What wrk's report says about a load, in the terms of the result.
#pragma once

#include "harness/trial/result.hpp"
#include "harness/trial/wrk_report.hpp"

namespace spawnpool::trial {

// Errors per attempted request. Late answers and bad statuses are answers too, and counted once.
double error_share(const WrkReport& report);

// Mean and quantiles by nearest rank over all answers. Those that came after the time-out are known
// only to be later than all others: a number that would need them is missing.
LatencyResult latency_result(const WrkReport& report);

// All of it; what wrk cannot tell is missing with the reason.
LoadResult load_result(const WrkReport& report, double generator_utilization);

}  // namespace spawnpool::trial
