// What /proc says about processes, as far as starting and stopping them needs it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/trial/waiter.hpp"

namespace spawnpool::trial {

struct TaskStat {
  char state = '?';  // R running, S sleeping, D in the kernel, Z ended, …
  pid_t parent = -1;
  unsigned threads = 0;         // of the whole process
  std::uint64_t rss_bytes = 0;  // resident memory of the process, to some 100 KiB per core
};

// Reads /proc/<path>/stat, where path is "PID" or "PID/task/TID". Returns nothing when it is gone.
std::optional<TaskStat> read_task_stat(const std::string& path);

// Every process that the caller can see.
std::vector<pid_t> processes();

// The processes whose parent is the calling process.
std::vector<pid_t> children();

// Kills and reaps every child of the calling process but `spare`: what a target has let loose and
// the subreaper inherited. Returns when none is left or at the deadline.
void kill_adopted(pid_t spare, Clock::time_point deadline);

// Whether every thread of the process sleeps; `threads` receives their identifiers besides what it
// holds. False when the process is gone.
bool all_threads_sleep(pid_t pid, std::vector<pid_t>& threads);

}  // namespace spawnpool::trial
