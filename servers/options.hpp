// The command line of spawnpool-server.
#pragma once

#include <optional>
#include <string_view>

#include "servers/server.hpp"

namespace spawnpool {

std::string_view name(Model model);          // "thread-per-connection", "worker-pool"
std::string_view name(MemoryPolicy memory);  // "fresh", "reused"

// Fills in `options`. Returns the exit status when the program should end instead of serve: 0 after
// --help and --version, 2 after a usage error, which has been told in one line on standard error.
std::optional<int> parse_options(int argc, const char* const* argv, ServerOptions& options);

}  // namespace spawnpool
