#include "servers/log.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>

namespace spawnpool {

void log_error(std::string_view what, std::string_view why) noexcept {
  std::array<char, 512> line;  // longer lines are cut
  char* out = line.data();
  const auto append = [&](std::string_view text) {
    const auto room = static_cast<std::size_t>(line.data() + line.size() - 1 - out);
    out = std::transform(text.begin(), text.begin() + std::min(text.size(), room), out,
                         [](char c) { return c == '\n' || c == '\r' ? ' ' : c; });
  };
  append("spawnpool-server: ");
  append(what);
  append(": ");
  append(why);
  *out++ = '\n';
  // Nothing can be done about a standard error that takes nothing.
  [[maybe_unused]] const ssize_t written =
      write(STDERR_FILENO, line.data(), static_cast<std::size_t>(out - line.data()));
}

}  // namespace spawnpool
