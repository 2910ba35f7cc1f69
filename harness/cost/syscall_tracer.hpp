// Counts the system calls of a process and its descendants, from outside, with the phase in which
// each was made (see phases.hpp).
//
// strace could count, but not read the mark of the thread that makes the call at the time it makes
// it; and marks that are system calls themselves would be what is counted.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <system_error>
#include <utility>

#include "harness/cost/syscall_log.hpp"

namespace spawnpool::cost {

// Of a single-threaded process. Should the tracer end, however it does, the kernel kills who it
// traces: a target that went on uncounted would have fewer calls than it made.
class SyscallTracer {
 public:
  // Attaches to a process with a single thread, which goes on, and is counted from its next exec
  // on. Throws std::system_error where it is not permitted.
  SyscallTracer(pid_t process, int log_fd);

  // Returns when all have ended.
  void run();

 private:
  struct Thread {
    bool known = false;  // the next two are settled
    bool marks = false;
    std::int64_t phase_offset = 0;
    bool in_call = false;
    std::int32_t number = 0;
    std::uint32_t phase = 0;
  };

  void stopped(pid_t thread, int status, std::int64_t now_ns);
  void at_call(pid_t id, Thread& thread, std::int64_t now_ns);
  void settle(pid_t id, Thread& thread);
  std::uint32_t phase(pid_t id, const Thread& thread) const;
  void write(const SyscallRecord& record) const;

  int log_fd_;
  bool counts_ = false;
  std::map<pid_t, Thread> threads_;
  // The programs seen, by their device and number.
  std::map<std::pair<dev_t, ino_t>, std::optional<std::int64_t>> programs_;
};

}  // namespace spawnpool::cost
