// What a process with its descendants uses of the machine, read from outside.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "harness/cost/taskstats.hpp"

namespace spawnpool::cost {

// The process has ended (it may still be waited for) or never was.
class ProcessGone : public std::runtime_error {
 public:
  explicit ProcessGone(pid_t pid);
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
};

// The counts of a thread that lives, or of a whole process with those of its threads that do not.
struct TaskUsage {
  Scheduling scheduling;
  std::chrono::nanoseconds run_time{};
};

// Totals at one instant, over the process and its descendants. The counters (CPU, faults, switches)
// run from the start of each process and include threads that have ended and descendants that were
// waited for.
struct UsageSnapshot {
  std::chrono::nanoseconds cpu{};             // exact; of descendants that have ended, to 10 ms
  std::chrono::nanoseconds user{}, system{};  // cpu as the kernel splits it, to 10 ms
  std::uint64_t minor_faults = 0, major_faults = 0;
  std::uint64_t threads = 0;  // now
  std::uint64_t rss_bytes =
      0;  // resident now, to some 100 KiB per core; shared pages count in each process
  std::uint64_t rss_peak_bytes =
      0;  // sum of the processes' peaks since they started or reset_rss_peak()
  // What usage_between() takes the scheduling from: the live processes or, where the kernel
  // does not tell those of whole processes, the live threads.
  std::map<pid_t, TaskUsage> tasks;
  std::string threads_only_because;  // why tasks are threads; empty when they are processes
};

// What was used between two snapshots.
struct UsageDelta {
  std::chrono::nanoseconds cpu{}, user{}, system{};  // user + system == cpu
  std::uint64_t minor_faults = 0, major_faults = 0;
  std::optional<Scheduling> scheduling;
  std::string scheduling_unmeasured;  // why there is none; empty when there is
};

// The difference of two snapshots by the same ProcessUsage, the earlier one first. The scheduling
// is that of the processes (or threads, see UsageSnapshot::tasks) alive at the end, provided that
// these account for at least 99 % of the CPU time; else there is none, with the reason. Throws
// std::runtime_error when a counter went down: a descendant ended and took its counts with it.
UsageDelta usage_between(const UsageSnapshot& before, const UsageSnapshot& after);

// CPU time of one process, threads that have ended included, in the kernel's full resolution.
// Throws ProcessGone.
std::chrono::nanoseconds process_cpu_time(pid_t pid);

// Watches a process and its descendants. A descendant is found through its parents: one whose
// parent ended is adopted elsewhere and leaves the sums.
//
// Everything is taken from what the kernel keeps anyhow, so that nothing is added to what the
// process does between two readings. In particular no perf event counts the context switches: on a
// virtual machine of 2 cores an inherited one was measured to add 4 us to the 22 us of starting and
// joining a thread, and 0.4 us to each context switch, which is a bias against a thread per
// connection.
//
// Not synchronised. Reading takes the time of a walk through /proc, a few milliseconds on a busy
// machine and some 10 us for each thread; and up to a second more while threads are ending.
class ProcessUsage {
 public:
  // Throws ProcessGone.
  explicit ProcessUsage(pid_t root);

  // Throws ProcessGone when the root process has ended, std::runtime_error when descendants come
  // and go too fast for a consistent sum.
  UsageSnapshot read();

  // The same in the middle of a load that a walk through /proc would disturb: of `processes`, which
  // processes() gave before, in some 200 us each. A thread that is just ending may have its
  // scheduling counted twice. When one of them has ended, reads as read() does.
  UsageSnapshot read_quickly(const std::vector<pid_t>& processes);

  // Starts rss_peak_bytes of `processes`, which processes() gave, anew from what is resident now.
  // Throws ProcessGone, or std::system_error where /proc/PID/clear_refs cannot be written.
  void reset_rss_peak(const std::vector<pid_t>& processes) const;
  void reset_rss_peak() const { reset_rss_peak(processes()); }

  // The root and its live descendants, parents before their children. Throws ProcessGone.
  [[nodiscard]] std::vector<pid_t> processes() const;

 private:
  enum class Settle { no, yes };  // whether to wait until no thread is ending

  UsageSnapshot sum_of(const std::vector<pid_t>& processes, Settle settle);
  void add_scheduling(UsageSnapshot& sum, pid_t pid, std::chrono::nanoseconds cpu, Settle settle);

  pid_t root_;
  std::uint64_t root_start_time_;  // tells the root from a later process of the same id
  std::optional<Taskstats> taskstats_;
  std::string no_taskstats_because_;
};

}  // namespace spawnpool::cost
