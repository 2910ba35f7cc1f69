// What spawnpool-syscalls writes of the system calls of a target, and what they add up to.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <type_traits>
#include <utility>

#include "harness/cost/phases.hpp"

namespace spawnpool::cost {

// An entry of the log. The calls of a thread come one after the other: an end is that of its last
// begin. A call may have no end (exit).
struct SyscallRecord {
  enum class Kind : std::uint32_t { begin, end };

  // Beside the numbers of the phases.
  static constexpr std::uint32_t unmarked = phase_count;        // the program marks no phases
  static constexpr std::uint32_t unreadable = phase_count + 1;  // and the mark cannot be read
  // Beside the numbers of the calls.
  static constexpr std::int32_t other_abi = -1;  // a call of a program for another architecture

  std::int32_t thread;
  std::int32_t number;
  std::uint32_t phase;
  Kind kind;
  std::int64_t at_ns;  // CLOCK_MONOTONIC
};
static_assert(std::is_trivially_copyable_v<SyscallRecord> && sizeof(SyscallRecord) == 24);

struct SyscallKey {
  std::int32_t number;
  std::uint32_t phase;  // of a mark, or one of SyscallRecord's

  friend bool operator<(const SyscallKey& a, const SyscallKey& b) {
    return std::pair(a.number, a.phase) < std::pair(b.number, b.phase);
  }
};

struct SyscallTally {
  std::uint64_t calls = 0;  // begun
  std::int64_t ns = 0;      // within those that have ended
};

using SyscallCounts = std::map<SyscallKey, SyscallTally>;

// The log as a file without a name, which goes with its last user.
class SyscallLog {
 public:
  // Throws std::system_error when there is no memory for it.
  SyscallLog();
  ~SyscallLog();
  SyscallLog(const SyscallLog&) = delete;
  SyscallLog& operator=(const SyscallLog&) = delete;

  // Close-on-exec; the target, started by spawnpool-syscalls, is to have it open.
  [[nodiscard]] int fd() const { return fd_; }

  // Every call until now, by thread.
  const std::map<pid_t, SyscallCounts>& read();

  // From now on time counts; what calls under way have taken before does not.
  void count_time();

 private:
  struct Open {
    SyscallKey key;
    std::int64_t since_ns;
  };
  void take(const SyscallRecord& record);

  int fd_;
  off_t offset_ = 0;
  std::int64_t time_from_ns_ = 0;
  std::map<pid_t, Open> open_;
  std::map<pid_t, SyscallCounts> threads_;
};

// "read"; "syscall_N" for one that is newer than this build, "other_abi" for what has no name here.
std::string syscall_name(std::int32_t number);

}  // namespace spawnpool::cost
