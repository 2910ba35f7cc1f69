#include "harness/trial/child_process.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): SIGKILL of POSIX
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>

#include "harness/trial/cpus.hpp"
#include "harness/trial/testing/trial_process.hpp"

namespace spawnpool::trial {
namespace {

using namespace std::chrono_literals;
using testing::await;
using testing::gone;

class ChildProcessTest : public ::testing::Test {
 protected:
  ChildProcessTest() { prctl(PR_SET_CHILD_SUBREAPER, 1); }

  static ChildOptions shell(const std::string& script) {
    ChildOptions options;
    options.argv = {"sh", "-c", script};
    options.capture_stdout = true;
    return options;
  }

  // The number that the child writes as its first line.
  pid_t first_number(ChildProcess& child) {
    while (child.out().text().find('\n') == std::string::npos) {
      if (waiter_.wait(child.pidfd(), POLLIN, Clock::now() + 2ms)) {
        break;
      }
    }
    return static_cast<pid_t>(std::stol(child.out().text()));
  }

  Waiter waiter_;
  Guard guard_;
};

TEST_F(ChildProcessTest, TellsHowItEnded) {
  ChildProcess good(waiter_, guard_, shell("exit 0"));
  EXPECT_TRUE(good.wait_exit(Clock::now() + 10s).value().ok());

  ChildProcess bad(waiter_, guard_, shell("exit 3"));
  EXPECT_EQ(bad.wait_exit(Clock::now() + 10s).value().text(), "exited with status 3");

  ChildProcess killed(waiter_, guard_, shell("kill -9 $$"));
  const ExitStatus status = killed.wait_exit(Clock::now() + 10s).value();
  EXPECT_EQ(status.text(), "was killed by SIGKILL");
  EXPECT_EQ(status.signal(), SIGKILL);
  EXPECT_FALSE(killed.running());
  EXPECT_TRUE(guard_.groups().empty());
}

TEST_F(ChildProcessTest, WaitsNoLongerThanItMay) {
  ChildProcess child(waiter_, guard_, shell("sleep 1000"));
  EXPECT_FALSE(child.wait_exit(Clock::now() + 1ms));
  EXPECT_TRUE(child.running());
}

TEST_F(ChildProcessTest, SaysWhyItCouldNotStart) {
  ChildOptions options;
  options.argv = {"no-such-program"};
  EXPECT_THROW(ChildProcess(waiter_, guard_, options), StartError);

  const testing::TemporaryFolder folder;
  options.argv = {folder.write("program", "no program", true)};
  try {
    const ChildProcess child(waiter_, guard_, options);
    ADD_FAILURE();
  } catch (const StartError& error) {
    EXPECT_NE(std::string(error.what()).find("Exec format error"), std::string::npos);
  }
  EXPECT_TRUE(guard_.groups().empty());
}

TEST_F(ChildProcessTest, KeepsTheLastLinesOfMuchOutput) {
  // Far more than a pipe holds: a child that nobody read from would hang.
  ChildProcess child(waiter_, guard_,
                     shell("i=0; while [ $i -lt 40000 ]; do i=$((i+1)); echo line $i >&2; done; "
                           "printf '\\n\\377end' >&2"));
  EXPECT_TRUE(child.wait_exit(Clock::now() + 30s).value().ok());
  EXPECT_EQ(child.err().last_lines(3),
            (std::vector<std::string>{"line 39999", "line 40000", "\uFFFDend"}));
}

TEST_F(ChildProcessTest, GivesTheChildWhatItWasTold) {
  const int cpu = affinity_mask().back();
  const testing::TemporaryFolder folder;
  folder.write("note", "inherited");
  const UniqueFd file(open(folder.file("note").c_str(), O_RDONLY | O_CLOEXEC));
  ChildOptions options = shell("echo $NAME; grep Cpus_allowed_list /proc/self/status; cat <&" +
                               std::to_string(file.get()));
  options.environment = {"NAME=value"};
  options.cpus = {cpu};
  options.inherit = {file.get()};
  ChildProcess child(waiter_, guard_, options);
  EXPECT_TRUE(child.wait_exit(Clock::now() + 10s).value().ok());
  EXPECT_EQ(child.out().text(),
            "value\nCpus_allowed_list:\t" + std::to_string(cpu) + "\ninherited");
}

TEST_F(ChildProcessTest, StopsOnSigterm) {
  ChildProcess child(waiter_, guard_,
                     shell("trap 'exit 4' TERM; echo 1; while :; do sleep 0.01; done"));
  first_number(child);
  const auto stopped = child.stop(10s);
  EXPECT_FALSE(stopped.forced);
  EXPECT_EQ(stopped.status.text(), "exited with status 4");
}

TEST_F(ChildProcessTest, KillsWhatDoesNotStop) {
  ChildProcess child(waiter_, guard_, shell("trap '' TERM; echo 1; while :; do sleep 0.01; done"));
  first_number(child);
  const auto stopped = child.stop(20ms);
  EXPECT_TRUE(stopped.forced);
  EXPECT_EQ(stopped.status.signal(), SIGKILL);
}

TEST_F(ChildProcessTest, TakesTheGrandchildrenAlong) {
  // One in the group, one that left it.
  ChildProcess child(waiter_, guard_, shell("sleep 1000 & echo $!; wait"));
  const pid_t in_group = first_number(child);
  child.stop(10s);
  EXPECT_TRUE(gone(in_group));

  ChildProcess other(waiter_, guard_, shell("setsid sleep 1000 & echo $!; exit 0"));
  const pid_t daemon = first_number(other);
  other.stop(10s);
  EXPECT_TRUE(gone(daemon));
}

TEST_F(ChildProcessTest, IsEndedByItsDestructor) {
  pid_t pid = 0;
  {
    const ChildProcess child(waiter_, guard_, shell("trap '' TERM; while :; do sleep 1000; done"));
    pid = child.pid();
  }
  EXPECT_TRUE(gone(pid));
  EXPECT_TRUE(guard_.groups().empty());
}

TEST_F(ChildProcessTest, IsLeftByAnInterruptedWait) {
  ChildProcess child(waiter_, guard_, shell("sleep 1000"));
  kill(getpid(), SIGTERM);
  EXPECT_THROW(child.wait_exit(Clock::now() + 10s), Interrupted);
  EXPECT_TRUE(child.running());
}

TEST(FindProgram, LooksOnThePath) {
  EXPECT_TRUE(find_program("sh"));
  EXPECT_TRUE(find_program("/bin/sh"));
  EXPECT_FALSE(find_program("no-such-program"));
  EXPECT_FALSE(find_program("/etc/passwd"));
  EXPECT_FALSE(find_program(""));
}

}  // namespace
}  // namespace spawnpool::trial
