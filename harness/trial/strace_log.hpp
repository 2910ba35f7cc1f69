// What strace writes, as counts of system calls.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace spawnpool::trial {

// Calls begun, by name.
using SyscallCounts = std::map<std::string, std::uint64_t>;

// Reads the log of `strace -f -o` as it grows.
class StraceLog {
 public:
  // Takes what has been added to the log.
  void add(std::string_view text);

  // By thread. A call counts from its beginning, when its line is not whole yet.
  std::map<pid_t, SyscallCounts> threads() const;

 private:
  std::string rest_;  // a line that is not whole yet
  std::map<pid_t, SyscallCounts> threads_;
};

}  // namespace spawnpool::trial
