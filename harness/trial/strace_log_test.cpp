#include "harness/trial/strace_log.hpp"

#include <gtest/gtest.h>

namespace spawnpool::trial {
namespace {

TEST(StraceLog, CountsEachCallOnceByThread) {
  StraceLog log;
  log.add(
      "17 recvfrom(5, \"\"..., 16384, 0, NULL, NULL) = 79\n"
      "17 futex(0x7f98, FUTEX_WAIT_PRIVATE, 0, NULL <unfinished ...>\n"
      "18 clock_nanosleep(CLOCK_REALTIME, 0, {tv_sec=0}, NULL) = 0\n"
      "17 <... futex resumed>)              = -1 ETIMEDOUT (Connection timed out)\n"
      "18 --- SIGTERM {si_signo=SIGTERM, si_code=SI_USER} ---\n"
      "18 recvfrom(5, \"\", 16384, MSG_DONTWAIT, NULL, NULL) = ? ERESTARTSYS\n"
      "18 +++ exited with 0 +++\n"
      "17 recvfrom(5, \"\", 16384, 0, NULL, NULL) = 0\n");
  const std::map<pid_t, SyscallCounts> expected = {
      {17, {{"futex", 1}, {"recvfrom", 2}}},
      {18, {{"clock_nanosleep", 1}, {"recvfrom", 1}}},
  };
  EXPECT_EQ(log.threads(), expected);
}

TEST(StraceLog, TakesALineThatComesInParts) {
  StraceLog log;
  for (const char byte : std::string_view("9  accept4(3, NULL, NULL, 0) = 4\n9 close(")) {
    log.add({&byte, 1});
  }
  EXPECT_EQ(log.threads().at(9), (SyscallCounts{{"accept4", 1}, {"close", 1}}));
  log.add(") = 0\n");
  EXPECT_EQ(log.threads().at(9), (SyscallCounts{{"accept4", 1}, {"close", 1}}));
}

TEST(StraceLog, LeavesWhatIsNoCall) {
  StraceLog log;
  log.add("strace: Process 12 attached\n\n12\n12 (\n12 no call here\n");
  EXPECT_TRUE(log.threads().empty());
}

}  // namespace
}  // namespace spawnpool::trial
