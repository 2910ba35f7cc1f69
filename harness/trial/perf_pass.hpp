// The pass that counts perf events under load.
#pragma once

#include <functional>

#include "harness/trial/accounting_pass.hpp"
#include "harness/trial/driver.hpp"
#include "harness/trial/result.hpp"

namespace spawnpool::trial {

// Puts the trial's load on a target; throws TrialFailure.
using Drive = std::function<DriverRun(Target&, const DriverHooks&)>;

// Counts what a request costs in a target of its own, within the window of the load that `drive`
// puts on it. Not in the timed one, since the counters cost each start of a thread and each context
// switch their part: a thread per connection would look worse than it is. When it was not asked
// for, or the target is shut down in the window, all is missing. Throws TrialFailure
// accounting-failed for what the target or the load does wrong meanwhile.
PerfResult count_perf(const PassContext& context, const Drive& drive);

}  // namespace spawnpool::trial
