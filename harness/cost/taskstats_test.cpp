#include "harness/cost/taskstats.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <memory>
#include <thread>

namespace spawnpool::cost {
namespace {

// Nothing where the machine does not allow it, for one of the reasons that there are.
std::unique_ptr<Taskstats> taskstats_if_there() {
  try {
    return std::make_unique<Taskstats>();
  } catch (const TaskstatsError& error) {
    const std::string reason = error.what();
    EXPECT_TRUE(error.code() == EPERM || error.code() == ENOENT ||
                reason.ends_with("leaves out threads that have ended"))
        << reason;
    return nullptr;
  }
}

std::uint64_t own_switches() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_nvcsw + usage.ru_nivcsw);
}

TEST(Taskstats, CountsWhatTheProcessItselfIsTold) {
  const auto taskstats = taskstats_if_there();
  if (!taskstats) {
    return;
  }
  constexpr std::uint64_t naps = 500;
  constexpr std::uint64_t slack = 50;  // what ends or starts between two questions
  const std::uint64_t told_before = taskstats->scheduling(getpid()).switches();
  const std::uint64_t used_before = own_switches();
  std::thread([] {
    const timespec moment{.tv_sec = 0, .tv_nsec = 1};
    for (std::uint64_t i = 0; i < naps; ++i) {
      nanosleep(&moment, nullptr);
    }
  }).join();
  const std::uint64_t used = own_switches() - used_before;
  const std::uint64_t told = taskstats->scheduling(getpid()).switches() - told_before;
  EXPECT_GE(told + slack, naps);  // a nap may be over before the thread has gone to sleep
  EXPECT_GE(told + slack, used);
}

TEST(Taskstats, SaysThatThereIsNoSuchProcess) {
  const auto taskstats = taskstats_if_there();
  if (!taskstats) {
    return;
  }
  try {
    taskstats->scheduling(0x7fff'ffff);  // above the highest process id
    FAIL() << "it answered";
  } catch (const TaskstatsError& error) {
    EXPECT_EQ(error.code(), ESRCH);
    EXPECT_STREQ(error.what(), "taskstats: No such process");
  }
}

}  // namespace
}  // namespace spawnpool::cost
