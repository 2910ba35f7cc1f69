// The pass that counts system calls, in a process of its own and never while timing.
#pragma once

#include <string>

#include "harness/trial/accounting_pass.hpp"
#include "harness/trial/result.hpp"

namespace spawnpool::trial {

// Starts the target anew under `tracer` (spawnpool-syscalls) and solves the costs from two sizes of
// load, in which each request finds its thread asleep: under load a server may need fewer calls,
// but not the same number twice.
//
// Calls of threads that make some while nobody asks anything (timers, a runtime's own threads) are
// not the requests' and are left out. Where counting is impossible (no tracer built, no permission
// to trace) the numbers are missing with the reason. Throws TrialFailure accounting-failed for what
// the target does wrong.
SyscallsResult count_syscalls(const PassContext& context, const std::string& tracer);

}  // namespace spawnpool::trial
