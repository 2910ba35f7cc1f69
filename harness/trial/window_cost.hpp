// What the measured window costs the target, read from outside: nothing is added to what it does.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "harness/cost/cpu_times.hpp"
#include "harness/cost/process_usage.hpp"
#include "harness/trial/driver.hpp"
#include "harness/trial/result.hpp"
#include "harness/trial/target.hpp"
#include "harness/trial/waiter.hpp"

namespace spawnpool::trial {

// Often enough for threads that come with connections, seldom enough for the generator's core,
// which the trial itself may have to run on.
constexpr std::chrono::milliseconds sample_period{50};

// Follows a target from prepare() over begin(), sample()s and end() to fill(). All but fill() throw
// cost::ProcessGone when it has ended. Not thread-safe; `target` must outlive it.
class WindowCost {
 public:
  // The target has been started.
  WindowCost(Target& target, const Cpus& cpus);

  void prepare();  // before the window, as late as may take some milliseconds
  // At its beginning. At rest, as between the two loads of wrk, the reading may take its time.
  void begin(bool at_rest);
  void sample();  // every sample_period within it
  void end();

  // Writes the server's and the machine's part of the result, and the generator's share of the
  // costs. A target that was shut down within the window has no costs per request.
  void fill(TrialResult& result, const DriverRun& run, bool shut_down);

 private:
  // The cores at one instant.
  struct MachineReading {
    Clock::time_point at;
    std::chrono::nanoseconds own_cpu{};  // of this process
    cost::CpuTimes taken, server;
  };
  struct Sample {
    Clock::time_point at;
    std::chrono::nanoseconds cpu{};
    std::uint64_t threads = 0, rss_bytes = 0;
  };

  MachineReading read_machine() const;
  Sample read_sample() const;
  void fill_usage(ServerResult& server, const DriverRun& run);
  void fill_scheduling(ServerResult& server, const cost::UsageDelta& delta, double requests) const;
  void fill_machine(TrialResult& result, const DriverRun& run) const;
  void fill_series(ServerResult& server) const;

  Target& target_;
  cost::ProcessUsage usage_;
  std::vector<int> taken_;         // the cores of server and generator
  std::vector<int> server_cores_;  // of the server alone
  bool beside_;                    // this process runs on none of them
  std::vector<pid_t> processes_;   // of the target, just before the window
  std::string no_reset_because_;   // why the peak of the resident memory is not the window's
  cost::UsageSnapshot before_, after_;
  MachineReading machine_before_, machine_after_;
  std::vector<Sample> samples_;
  std::uint64_t threads_peak_ = 0;
  std::optional<double> target_cpu_s_;  // within the window, when it is known
};

}  // namespace spawnpool::trial
