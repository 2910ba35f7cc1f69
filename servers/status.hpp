// The lines that a server writes for whoever started it.
#pragma once

#include <cstdint>
#include <string>

#include "servers/server.hpp"

namespace spawnpool {

// One line of JSON: event "ready", the model, memory policy, address, port and process id, and the
// number of the signal (SIGUSR1) upon which the server writes a status line.
std::string ready_line(const ServerOptions& options, std::uint16_t port);

// One line of JSON: event "status", the clock (CLOCK_MONOTONIC, ns), the connections that are open,
// queued ones included, the threads with and without one, and the queue.
std::string status_line(const Server& server);

// One line of JSON: event "exit", the model, how the drain went, and every counter.
std::string exit_line(const ServerOptions& options, const Counters& counters,
                      const DrainReport& drain);

}  // namespace spawnpool
