// Drives a target with wrk (https://github.com/wg/wrk), a closed loop over a fixed number of
// connections.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "harness/trial/http_client.hpp"
#include "harness/trial/target.hpp"
#include "harness/trial/wrk_report.hpp"

namespace spawnpool::trial {

struct WrkLoad {
  std::string program;  // wrk
  std::string request;  // the bytes of one request
  unsigned connections = 1;
  std::chrono::nanoseconds duration{};  // rounded by wrk to 100 ms, at least one
  std::chrono::nanoseconds timeout{};   // whole seconds
  std::vector<int> cpus;
};

struct WrkRun {
  WrkReport report;
  double cpu_utilization = 0;  // of wrk while it loads, per CPU it has, 0 to 1
};

// Loads the target for the duration, calling `sample` every `sample_period`. Throws TrialFailure:
// driver-failed, and target-died-under-load as soon as the target's process ends.
WrkRun run_wrk(Waiter& waiter, Guard& guard, Target& target, const WrkLoad& load,
               std::chrono::nanoseconds sample_period, const std::function<void()>& sample);

}  // namespace spawnpool::trial
