// One trial, from a specification to a result.
#pragma once

#include <string>

#include "harness/trial/guard.hpp"
#include "harness/trial/result.hpp"
#include "harness/trial/spec.hpp"
#include "harness/trial/waiter.hpp"

namespace spawnpool::trial {

struct Programs {
  std::string server;           // spawnpool-server
  std::string generator;        // of the trial's driver: spawnpool-load or wrk
  std::string counter_library;  // libspawnpool_alloc.so
  std::string syscall_tracer;   // spawnpool-syscalls
};

// start -> ready -> check -> warm-up -> window -> check -> stop, then the accounting pass. What the
// target does wrong is in the result; throws Interrupted, and std::exception for what the machine
// refuses. In every case no process is left.
TrialResult run_trial(const TrialSpec& spec, const Cpus& cpus, const Programs& programs,
                      Waiter& waiter, Guard& guard);

}  // namespace spawnpool::trial
