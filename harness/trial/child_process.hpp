// A child process in a process group of its own, pinned, with its output captured, that cannot be
// left behind.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "harness/trial/captured_pipe.hpp"
#include "harness/trial/guard.hpp"
#include "harness/trial/unique_fd.hpp"
#include "harness/trial/waiter.hpp"

namespace spawnpool::trial {

struct ChildOptions {
  std::vector<std::string> argv;         // argv[0] with a slash, or looked up on PATH
  std::vector<std::string> environment;  // "NAME=value", on top of the trial's own
  std::vector<int> cpus;                 // affinity; empty: the trial's own
  std::vector<int> inherit;            // descriptors that stay open across exec, under their number
  bool capture_stdout = false;         // else stdout goes to /dev/null
  std::size_t keep_stdout = 64 << 10;  // bytes of the captured stdout's end that are kept
  std::function<void(pid_t)> before_exec = {};  // called when the process is there
};

// How a process ended.
struct ExitStatus {
  int wait_status = 0;  // as waitpid gives it
  bool ok() const { return wait_status == 0; }
  bool signalled() const;
  // The number of the signal that ended it, 0 when it exited.
  int signal() const;
  // "exited with status 3", "was killed by SIGKILL"
  std::string text() const;
};

// Thrown when a child could not be started; what() names the program and the cause.
class StartError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Finds a program as execvp does. Returns nothing when it is not there or not executable.
std::optional<std::string> find_program(const std::string& name);

// Not thread-safe. `waiter` and `guard` must outlive it.
class ChildProcess {
 public:
  // Starts the child; returns when it has executed its program. Throws StartError.
  ChildProcess(Waiter& waiter, Guard& guard, const ChildOptions& options);
  // Kills what is left of the group.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  // Becomes readable when the process ends.
  int pidfd() const { return pidfd_.get(); }
  CapturedPipe& out() { return out_; }
  CapturedPipe& err() { return err_; }

  bool running() const;
  void signal(int number) const;

  // Waits for the end of the process. Returns nothing when the deadline passes first.
  std::optional<ExitStatus> wait_exit(Clock::time_point deadline);

  struct Stopped {
    ExitStatus status;
    bool forced = false;  // SIGTERM did not do within the grace period
  };
  // SIGTERM to the process, then after `grace` SIGKILL to its group. At the end nothing of the
  // group is left, and when it was the last group, no process that it let loose either.
  Stopped stop(std::chrono::nanoseconds grace);

 private:
  void kill_group();

  Waiter& waiter_;
  Guard& guard_;
  pid_t pid_ = -1;
  UniqueFd pidfd_;
  CapturedPipe out_;
  CapturedPipe err_;
  std::optional<ExitStatus> status_;  // set when the group is reaped
};

}  // namespace spawnpool::trial
