// The pass that counts heap allocations, in a process of its own and never while timing.
#pragma once

#include <string>

#include "harness/trial/accounting_pass.hpp"
#include "harness/trial/result.hpp"

namespace spawnpool::trial {

// Starts the target anew with the allocation counter and solves the costs from two sizes of load.
// A request alone on its connection costs the sum of both.
//
// Where counting is impossible (no counter built, a statically linked target) the numbers are
// missing with the reason. Throws TrialFailure accounting-failed for what the target does wrong.
AllocationsResult count_allocations(const PassContext& context, const std::string& counter_library);

}  // namespace spawnpool::trial
