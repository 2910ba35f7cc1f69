// The accounting pass: what a request and a connection cost in heap allocations, counted in a
// process of its own and never while timing.
#pragma once

#include <string>
#include <vector>

#include "harness/trial/child_process.hpp"
#include "harness/trial/result.hpp"
#include "harness/trial/spec.hpp"

namespace spawnpool::trial {

// Starts the target anew with the allocation counter and asks, one connection after the other, in
// two sizes: C connections with 1 request each cost A1, C connections with K requests each cost A2.
// The costs are the slope and the intercept, (A2 - A1) / (C (K - 1)) per request and the rest of A1
// / C per connection, so that what the target does at its start is in neither. Between connections
// it waits until the target rests, so that a thread that ends has ended before the next one starts:
// the same input gives the same counts.
//
// Requests go over kept connections, whatever the scenario's requests_per_connection: a request
// alone on its connection costs the sum of both.
//
// Where counting is impossible (no counter built, a statically linked target) the numbers are
// missing with the reason. Throws TrialFailure accounting-failed for what the target does wrong.
AllocationsResult count_allocations(Waiter& waiter, Guard& guard, const TrialSpec& spec,
                                    const std::vector<int>& cpus, const std::string& server_program,
                                    const std::string& counter_library);

}  // namespace spawnpool::trial
