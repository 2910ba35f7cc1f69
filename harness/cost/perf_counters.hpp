// What the kernel's perf events count of a process with all its threads and descendants.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace spawnpool::cost {

// Counts, but for the first: a time in microseconds. Those of user_ and kernel_ are of the code
// there; the faults, cache_ and branch_misses of both, or of user code where the kernel allows no
// more (counts_kernel()).
enum class PerfEvent : std::size_t {
  task_clock_us,
  context_switches,
  migrations,
  minor_faults,
  major_faults,
  user_cycles,
  kernel_cycles,
  user_instructions,
  kernel_instructions,
  cache_references,
  cache_misses,
  branch_misses,
};
constexpr std::array<std::string_view, 12> perf_event_names = {
    "task_clock_us",       "context_switches", "migrations",    "minor_faults",
    "major_faults",        "user_cycles",      "kernel_cycles", "user_instructions",
    "kernel_instructions", "cache_references", "cache_misses",  "branch_misses"};

struct PerfCount {
  // Nothing, with the reason, where the event cannot be counted.
  std::optional<double> value;
  std::string unmeasured;
  // More events than the hardware has counters take turns. The share, from above 0 to 1, of its
  // CPU time in which the process was counted; below 1 the value is scaled up from it.
  double running_share = 1;
};

using PerfCounts = std::array<PerfCount, perf_event_names.size()>;

// Inherited events (perf_event_open(2)). They cost the process they count: on a virtual machine of
// 2 cores 11 us for each thread that it starts, of 21 us, and 0.5 us for each context switch, even
// while they are off. So they are for a process that is not being timed.
//
// Not synchronised.
class PerfCounters {
 public:
  // The process must not have started a thread yet: those that are there already are not counted.
  // What the kernel refuses is told by read().
  explicit PerfCounters(pid_t pid);
  ~PerfCounters();
  PerfCounters(const PerfCounters&) = delete;
  PerfCounters& operator=(const PerfCounters&) = delete;

  // Begin and end what read() tells. The events follow one after the other, in some microseconds
  // for each thread that lives. (The counters themselves are on all the time: switching them on and
  // off now and then missed a thread that lived or was started meanwhile.)
  void begin();
  void end();

  // Between begin() and end(), of threads that live and that have ended.
  [[nodiscard]] PerfCounts read() const;

  // Whether what the process does in the kernel is counted too.
  [[nodiscard]] bool counts_kernel() const { return counts_kernel_; }

 private:
  struct Reading {
    std::uint64_t value = 0, enabled_ns = 0, running_ns = 0;
    int error = 0;  // errno when it could not be read
  };
  struct Counter {
    int fd = -1;
    std::string unmeasured;  // why there is no descriptor
    Reading begin, end;
  };
  static Reading reading(int fd);

  std::array<Counter, perf_event_names.size()> counters_;
  bool counts_kernel_ = true;
};

}  // namespace spawnpool::cost
