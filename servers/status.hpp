// The lines that a server writes for whoever started it.
#pragma once

#include <cstdint>
#include <string>

#include "servers/server.hpp"

namespace spawnpool {

// One line of JSON: event "ready", the model, memory policy, address, port and process id.
std::string ready_line(const ServerOptions& options, std::uint16_t port);

// One line of JSON: event "exit", the model, how the drain went, and every counter.
std::string exit_line(const ServerOptions& options, const Counters& counters,
                      const DrainReport& drain);

}  // namespace spawnpool
