#include "harness/cost/cpu_times.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <ctime>
#include <stdexcept>

namespace spawnpool::cost {
namespace {

using namespace std::chrono_literals;

std::chrono::nanoseconds cpu_time() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

// Uses a CPU until this thread has had 300 ms of it. What is not told as the thread's own is
// somebody else's; what is told as its own is not.
TEST(CpuTimes, TellsForeignTimeFromOwn) {
  cpu_set_t allowed, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof allowed, &allowed), 0);
  const int cpu = sched_getcpu();
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  const CpuTimes before = read_cpu_times({cpu});
  const auto start = std::chrono::steady_clock::now();
  const auto own_start = cpu_time();
  while (cpu_time() - own_start < 300ms) {
  }
  const auto own = cpu_time() - own_start;
  const auto elapsed = std::chrono::steady_clock::now() - start;
  const CpuTimes after = read_cpu_times({cpu});
  ASSERT_EQ(sched_setaffinity(0, sizeof allowed, &allowed), 0);

  const double used = std::chrono::duration<double>(own) / std::chrono::duration<double>(elapsed);
  constexpr double two_ticks = 0.08;  // of 300 ms, and a little
  EXPECT_GE(disturbance_between(before, after, 1, elapsed, 0ns).foreign_share, used - two_ticks);
  EXPECT_LE(disturbance_between(before, after, 1, elapsed, own).foreign_share,
            1 - used + two_ticks);
}

TEST(CpuTimes, SplitsTheTimeOfItsCpus) {
  const CpuTimes before{.idle = 10s, .stolen = 1s};
  const CpuTimes after{.idle = 10s + 500ms, .stolen = 1s + 100ms};
  const Disturbance found = disturbance_between(before, after, 2, 1s, 1200ms);
  EXPECT_DOUBLE_EQ(found.foreign_share, 0.1);
  EXPECT_DOUBLE_EQ(found.steal_share, 0.05);
  EXPECT_DOUBLE_EQ(idle_share_between(before, after, 2, 1s), 0.25);
}

TEST(CpuTimes, IsNeverNegativeForWhatATickHides) {
  const CpuTimes now{.idle = 10s, .stolen = 0s};
  EXPECT_EQ(disturbance_between(now, now, 1, 1s, 1005ms).foreign_share, 0);
  const CpuTimes tick_later{.idle = 11s + 10ms};
  EXPECT_EQ(idle_share_between(now, tick_later, 1, 1s), 1);
}

TEST(CpuTimes, KnowsNoOtherCpus) {
  EXPECT_THROW(read_cpu_times({0, 99'999}), std::runtime_error);
}

}  // namespace
}  // namespace spawnpool::cost
