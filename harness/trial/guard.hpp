// Ends the children of a trial when the trial itself is gone, whatever ended it.
//
// A parent-death signal would reach direct children only, and a SIGKILL leaves no chance to clean
// up. So a small process of its own holds the read end of a pipe: when the last write end is
// closed, which the kernel does for the dead too, it kills every process group it was told of, and
// then every process that carries the trial's mark in its environment (a daemon that left its
// group).
#pragma once

#include <sys/types.h>

#include <set>
#include <string>

#include "harness/trial/unique_fd.hpp"

namespace spawnpool::trial {

// Construct it before the first thread and before any child. Not thread-safe.
class Guard {
 public:
  Guard();
  // Ends the guard process; groups still registered are killed.
  ~Guard();
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

  // Registers a process group, or takes it back once it has been reaped: after that its number may
  // belong to somebody else.
  void add(pid_t group);
  void remove(pid_t group);

  const std::set<pid_t>& groups() const { return groups_; }
  pid_t pid() const { return pid_; }
  // "NAME=value", to be put into the environment of every child.
  const std::string& mark() const { return mark_; }

 private:
  void tell(pid_t signed_group);

  std::string mark_;
  UniqueFd pipe_;
  pid_t pid_ = -1;
  std::set<pid_t> groups_;
};

}  // namespace spawnpool::trial
