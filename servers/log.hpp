// Lines for people on standard error.
#pragma once

#include <string_view>

namespace spawnpool {

// Writes "spawnpool-server: what: why" as one line, in one write, so that lines of several threads
// never mix. Line breaks in `why` are replaced.
void log_error(std::string_view what, std::string_view why) noexcept;

}  // namespace spawnpool
