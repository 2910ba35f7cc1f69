// What a trial and its drivers know of each other.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/trial/guard.hpp"
#include "harness/trial/result.hpp"
#include "harness/trial/spec.hpp"
#include "harness/trial/target.hpp"
#include "harness/trial/validity.hpp"
#include "harness/trial/waiter.hpp"

namespace spawnpool::trial {

// Called by a driver, each in its time; what they throw ends the load.
struct DriverHooks {
  std::function<void()> prepare;       // before the window, as late as may take some milliseconds
  std::function<void()> window_begin;  // at its beginning: takes as little as it can
  std::function<void()> sample;        // every sample_period within the window
  std::function<void()> window_end;    // at its end, or before the target is shut down within it
  std::chrono::nanoseconds sample_period{};
};

// All of it must outlive the load.
struct DriverContext {
  Waiter& waiter;
  Guard& guard;
  Target& target;  // ready
  const TrialSpec& spec;
  const std::vector<int>& cpus;  // of the generator
  bool shared_core = false;      // with the server
  const std::string& program;    // the generator
  const DriverHooks& hooks;
};

struct DriverRun {
  LoadResult load;
  LoadQuality quality;
  std::uint64_t requests = 0;  // load.requests
  double warmup_s = 0, window_s = 0;
  double generator_cpu_s = 0;              // CPU time within the window, of all its threads
  std::optional<ShutdownResult> shutdown;  // when the scenario has one
};

}  // namespace spawnpool::trial
