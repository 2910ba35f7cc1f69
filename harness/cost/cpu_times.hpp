// What the machine's CPUs did, whoever used them.
#pragma once

#include <chrono>
#include <vector>

namespace spawnpool::cost {

// Sums over some CPUs since the machine started, each to 10 ms (a tick of /proc/stat).
struct CpuTimes {
  std::chrono::nanoseconds idle{};    // waiting for input or output included
  std::chrono::nanoseconds stolen{};  // ready to run, but the hypervisor ran somebody else
};

// Reads /proc/stat, in some 50 us. Throws std::runtime_error when it does not know one of `cpus`.
CpuTimes read_cpu_times(const std::vector<int>& cpus);

// What others than the measured programs took of `cpus`, as shares from 0 to 1 of the CPUs' time.
struct Disturbance {
  double foreign_share = 0;  // CPU time of other programs and of the kernel's own threads
  double steal_share = 0;    // taken by the hypervisor
};

// Of the time `elapsed` between two readings for the same `cpus` CPUs, of which the measured
// programs used `own` CPU time, summed. Foreign is what was neither idle nor stolen nor own: it is
// right to two ticks per CPU, and does not depend on who was running when the tick came, as the
// kernel's own split of the busy time does.
Disturbance disturbance_between(const CpuTimes& before, const CpuTimes& after, std::size_t cpus,
                                std::chrono::nanoseconds elapsed, std::chrono::nanoseconds own);

// The share, from 0 to 1, of the time `elapsed` in which nobody ran on the `cpus` CPUs of two
// readings and nobody kept them from it; right to a tick per CPU.
double idle_share_between(const CpuTimes& before, const CpuTimes& after, std::size_t cpus,
                          std::chrono::nanoseconds elapsed);

}  // namespace spawnpool::cost
