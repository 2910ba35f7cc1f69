// Threads that add while they are moved and interrupted.
#include "harness/cost/cpu_counter.hpp"

#include <gtest/gtest.h>
#include <sys/time.h>

#include <csignal>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

#include "harness/cost/on_cpu.hpp"
#include "servers/core/thread.hpp"

namespace spawnpool::cost {
namespace {

std::int64_t sum_of(const CpuCounter& counter) {
  return std::accumulate(
      counter.begin(), counter.end(), std::int64_t{0},
      [](std::int64_t sum, const CpuPart& part) { return sum + part.value.load(); });
}

constexpr int bound = 1'000'000;

// Adds 1, from time to time and wherever a thread just is: in the handler of a signal that comes
// 10,000 times a second, where the kernel's clock allows it.
class Interruptions {
 public:
  explicit Interruptions(CpuCounter& counter) {
    added = 0;
    to = &counter;
    struct sigaction action {};
    action.sa_handler = [](int) {
      ++added;
      taken += add_on_this_cpu<bound>(*to, 1).taken;
    };
    action.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &action, &before_);
    const itimerval often{.it_interval = {0, 100}, .it_value = {0, 100}};
    setitimer(ITIMER_REAL, &often, nullptr);
  }
  ~Interruptions() {
    const itimerval never{};
    setitimer(ITIMER_REAL, &never, nullptr);
    sigaction(SIGALRM, &before_, nullptr);
  }
  Interruptions(const Interruptions&) = delete;
  Interruptions& operator=(const Interruptions&) = delete;

  static inline std::atomic<std::int64_t> added{0}, taken{0};

 private:
  static inline CpuCounter* to = nullptr;
  struct sigaction before_ {};
};

TEST(CpuCounter, IsTakenAtItsBounds) {
  if (!has_restartable_sequences()) {
    GTEST_SKIP() << "no restartable sequences";
  }
  const auto counter = std::make_unique<CpuCounter>();
  for (int number = 0;; ++number) {
    const OnCpu here(number);
    if (!here.there()) {
      EXPECT_GT(number, 0);
      break;
    }
    CpuPart& part = counter->at(here.cpu());
    const auto expect = [&part](const CpuChange& change, std::int64_t value, std::int64_t taken) {
      EXPECT_EQ(change.part, &part);
      EXPECT_EQ(part.value, value);
      EXPECT_EQ(change.taken, taken);
    };
    expect(add_on_this_cpu<10>(*counter, 9), 9, 0);
    expect(add_on_this_cpu<10>(*counter, 1), 0, 10);
    expect(subtract_on_this_cpu<-10>(*counter, 9), -9, 0);
    expect(subtract_on_this_cpu<-10>(*counter, 1), 0, -10);
    part.slack = 5;
    expect(subtract_on_this_cpu<-10>(*counter, 14), -14, 0);
    expect(add_on_this_cpu<10>(*counter, 14), 0, 0);
    expect(subtract_on_this_cpu<-10>(*counter, 15), 0, -15);
    expect(add_on_this_cpu<10>(*counter, 100'000'000'000), 0, 100'000'000'000);
  }
}

TEST(CpuCounter, TakesBackAThreadThatHasLeft) {
  if (!has_restartable_sequences()) {
    GTEST_SKIP() << "no restartable sequences";
  }
  const auto counter = std::make_unique<CpuCounter>();
  std::jthread([&] {
    leave_restartable_sequences();
    EXPECT_EQ(add_on_this_cpu<bound>(*counter, 1).part, nullptr);
    return_to_restartable_sequences();
    return_to_restartable_sequences();  // it is there already
    EXPECT_NE(add_on_this_cpu<bound>(*counter, 1).part, nullptr);
  }).join();
  EXPECT_EQ(sum_of(*counter), 1);
}

// More threads than CPUs, whom the kernel and signals interrupt anywhere.
TEST(CpuCounter, LosesNothing) {
  if (!has_restartable_sequences()) {
    GTEST_SKIP() << "no restartable sequences";
  }
  constexpr int threads = 8;
  constexpr int steps = 400'000;
  const auto counter = std::make_unique<CpuCounter>();
  std::atomic<std::int64_t> taken{0};
  {
    const Interruptions often(*counter);
    std::vector<std::jthread> running;
    running.reserve(threads);
    for (int i = 0; i < threads; ++i) {
      running.emplace_back([&] {
        std::int64_t mine = 0;
        for (int step = 0; step < steps; ++step) {
          mine += add_on_this_cpu<bound>(*counter, step).taken;
          mine += subtract_on_this_cpu<-bound>(*counter, step / 2).taken;
        }
        taken += mine;
      });
    }
  }
  std::int64_t expected = Interruptions::added;
  for (int step = 0; step < steps; ++step) {
    expected += std::int64_t{threads} * (step - step / 2);
  }
  EXPECT_GT(Interruptions::added, 0);
  EXPECT_NE(taken, 0);
  EXPECT_EQ(sum_of(*counter) + taken + Interruptions::taken, expected);
}

}  // namespace
}  // namespace spawnpool::cost
