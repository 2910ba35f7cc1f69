// Allocations as Go's runtime counts them, of targets that tell.
#pragma once

#include "harness/cost/allocation_counter.hpp"
#include "harness/trial/target.hpp"

namespace spawnpool::trial {

// Whether the target's ready line says that a line of counters can be had: "memstats_signal": 10,
// which is SIGUSR1. To be asked while nothing has been taken of the target's output.
bool tells_go_memory(Target& target);

// Go's MemStats of the whole process: Mallocs, Frees and TotalAlloc, as the target prints them on
// SIGUSR1; nothing else of the counts is known. Printing allocates, which the next reading has in
// it. Only for a target that tells. Throws TrialFailure wrong-answer when it does not within a
// second.
cost::AllocationCounts read_go_memory(Waiter& waiter, Target& target);

}  // namespace spawnpool::trial
