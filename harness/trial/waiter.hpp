// The one place where a trial waits. Every wait has a deadline, ends at once on SIGINT or SIGTERM,
// and meanwhile empties the pipes of the children, so that none of them ever blocks on a full pipe.
#pragma once

#include <poll.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): sigset_t is POSIX's

#include <chrono>
#include <exception>
#include <functional>
#include <map>
#include <span>

#include "harness/trial/unique_fd.hpp"

namespace spawnpool::trial {

using Clock = std::chrono::steady_clock;

// Thrown by a wait when SIGINT or SIGTERM arrived.
class Interrupted : public std::exception {
 public:
  explicit Interrupted(int signal) : signal_(signal) {}
  int signal() const { return signal_; }
  const char* what() const noexcept override { return "interrupted by a signal"; }

 private:
  int signal_;
};

// Takes SIGINT and SIGTERM away from the process for as long as it lives: construct it before the
// first thread, and once. Not thread-safe.
class Waiter {
 public:
  Waiter();
  ~Waiter();
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  // Calls `on_readable` whenever `fd` has something to read during a wait, until it returns false.
  void watch(int fd, std::function<bool()> on_readable);
  void forget(int fd);

  // Waits until one of `fds` has an event (true, revents filled in) or the deadline passes (false).
  // Throws Interrupted.
  bool wait(std::span<pollfd> fds, Clock::time_point deadline);

  // Waits until `fd` has one of `events`.
  bool wait(int fd, short events, Clock::time_point deadline);

  // Waits until the deadline.
  void sleep_until(Clock::time_point deadline) { wait(std::span<pollfd>(), deadline); }

 private:
  sigset_t old_mask_{};
  UniqueFd signals_;
  std::map<int, std::function<bool()>> watched_;
};

}  // namespace spawnpool::trial
