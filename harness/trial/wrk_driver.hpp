// Drives a target with wrk (https://github.com/wg/wrk), a closed loop over a fixed number of
// connections.
#pragma once

#include "harness/trial/driver.hpp"

namespace spawnpool::trial {

// Loads the target twice, for the warm-up and for the window, which wrk rounds to 100 ms, at least
// one. Throws TrialFailure: driver-failed, and target-died-under-load as soon as the target's
// process ends.
DriverRun drive_with_wrk(const DriverContext& context);

}  // namespace spawnpool::trial
