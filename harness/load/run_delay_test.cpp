#include "harness/load/run_delay.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <thread>

namespace spawnpool::load {
namespace {

using namespace std::chrono_literals;

void stay_on(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  sched_setaffinity(0, sizeof(set), &set);
}

TEST(RunDelay, GrowsWhileAnotherThreadHasTheCpu) {
  const auto before = run_delay();
  if (!before) {
    GTEST_SKIP() << "this kernel does not tell (CONFIG_SCHED_INFO)";
  }
  const int cpu = sched_getcpu();
  std::atomic<bool> done{false};
  std::jthread other([&] {
    stay_on(cpu);
    while (!done) {
    }
  });
  std::optional<std::chrono::nanoseconds> grown;
  std::jthread delayed([&] {
    stay_on(cpu);
    const auto at_first = run_delay();
    const auto deadline = std::chrono::steady_clock::now() + 30s;
    do {
      grown = *run_delay() - *at_first;
    } while (*grown < 1ms && std::chrono::steady_clock::now() < deadline);
    done = true;
  });
  delayed.join();
  EXPECT_GE(*grown, 1ms);
}

}  // namespace
}  // namespace spawnpool::load
