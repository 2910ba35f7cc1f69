// Drives a target with spawnpool-load, the project's own generator: closed and open loop, warm-up
// and window in one process.
#pragma once

#include "harness/trial/driver.hpp"

namespace spawnpool::trial {

// Loads the target as its scenario says. The window's hooks are called when spawnpool-load says
// that the window begins and ends. A scenario with shutdown_after sends SIGTERM to the target that
// long into the window, and waits for its end for up to limits.stop.
//
// Throws TrialFailure: driver-failed, and target-died-under-load as soon as the target's process
// ends without having been told to.
DriverRun drive_with_builtin(const DriverContext& context);

}  // namespace spawnpool::trial
