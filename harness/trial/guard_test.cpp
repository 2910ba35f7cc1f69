#include "harness/trial/guard.hpp"

#include <gtest/gtest.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): kill of POSIX
#include <sys/wait.h>
#include <unistd.h>

#include <memory>

#include "harness/trial/testing/trial_process.hpp"

namespace spawnpool::trial {
namespace {

using testing::await;
using testing::gone;

// `sleep` in a process group of its own, with `entry` as its whole environment.
class Sleeper {
 public:
  explicit Sleeper(const std::string& entry) : pid_(fork()) {
    if (pid_ == 0) {
      setpgid(0, 0);
      execle("/bin/sleep", "sleep", "1000", nullptr,
             std::initializer_list<const char*>{entry.c_str(), nullptr}.begin());
      _exit(127);
    }
    setpgid(pid_, pid_);
  }
  ~Sleeper() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;
  pid_t pid() const { return pid_; }

  // Waits until exec has put the new environment in place.
  bool await_exec() const {
    return await([this] {
      const auto found = testing::descendants(getpid());
      return std::find(found.begin(), found.end(), std::pair(pid_, std::string("sleep"))) !=
             found.end();
    });
  }

 private:
  pid_t pid_;
};

TEST(Guard, KillsTheGroupsItWasTold) {
  auto guard = std::make_unique<Guard>();
  const Sleeper registered("A=1");
  const Sleeper taken_back("A=1");
  const Sleeper unknown("A=1");
  guard->add(registered.pid());
  guard->add(taken_back.pid());
  guard->remove(taken_back.pid());
  EXPECT_EQ(guard->groups(), std::set<pid_t>{registered.pid()});
  const pid_t guard_pid = guard->pid();
  guard.reset();
  EXPECT_TRUE(await([&] { return gone(registered.pid()); }));
  EXPECT_FALSE(gone(taken_back.pid()));
  EXPECT_FALSE(gone(unknown.pid()));
  EXPECT_TRUE(gone(guard_pid));
}

TEST(Guard, KillsWhatCarriesItsMark) {
  auto guard = std::make_unique<Guard>();
  const Sleeper marked(guard->mark());
  const Sleeper similar(guard->mark() + "0");
  const Sleeper other("X" + guard->mark());
  ASSERT_TRUE(marked.await_exec() && similar.await_exec() && other.await_exec());
  guard.reset();
  EXPECT_TRUE(await([&] { return gone(marked.pid()); }));
  EXPECT_FALSE(gone(similar.pid()));
  EXPECT_FALSE(gone(other.pid()));
}

TEST(Guard, IgnoresSignals) {
  const Guard guard;
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE}) {
    kill(guard.pid(), number);
  }
  const Sleeper sleeper("A=1");
  ASSERT_TRUE(sleeper.await_exec());
  EXPECT_FALSE(gone(guard.pid()));
}

}  // namespace
}  // namespace spawnpool::trial
