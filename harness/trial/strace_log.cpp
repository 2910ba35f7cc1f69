#include "harness/trial/strace_log.hpp"

#include <algorithm>
#include <charconv>

namespace spawnpool::trial {

namespace {

// Counts the call that a line begins. "17 recvfrom(5, ...) = 79" and "17 futex(0x7f...,
// FUTEX_WAIT <unfinished ...>" begin one; "17 <... futex resumed>) = 0", "17 +++ exited with 0 +++"
// and "17 --- SIGTERM ... ---" do not.
void take(std::string_view line, std::map<pid_t, SyscallCounts>& threads) {
  pid_t thread = 0;
  const auto parsed = std::from_chars(line.data(), line.data() + line.size(), thread);
  if (parsed.ec != std::errc{}) {
    return;
  }
  line.remove_prefix(static_cast<std::size_t>(parsed.ptr - line.data()));
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  const std::size_t name_end = line.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_");
  if (name_end == 0 || name_end == std::string_view::npos || line[name_end] != '(') {
    return;
  }
  ++threads[thread][std::string(line.substr(0, name_end))];
}

}  // namespace

void StraceLog::add(std::string_view text) {
  rest_.append(text);
  std::size_t begin = 0;
  for (std::size_t end = rest_.find('\n'); end != std::string::npos;
       end = rest_.find('\n', begin)) {
    take(std::string_view(rest_).substr(begin, end - begin), threads_);
    begin = end + 1;
  }
  rest_.erase(0, begin);
}

std::map<pid_t, SyscallCounts> StraceLog::threads() const {
  std::map<pid_t, SyscallCounts> found = threads_;
  take(rest_, found);
  return found;
}

}  // namespace spawnpool::trial
