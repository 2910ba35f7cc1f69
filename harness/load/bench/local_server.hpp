// What the small servers around the generator have in common: each listens on 127.0.0.1, tells its
// port in a line of JSON as spawnpool-server does, and ends at SIGTERM with a line of its counters.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

namespace spawnpool::load::bench {

using Json = nlohmann::ordered_json;

// Returns a listening socket, close-on-exec and not blocking; accepted sockets have TCP_NODELAY.
// Port 0 takes a free one; the port taken is put into `port`. Raises the limit of descriptors as
// far as it goes. Throws std::system_error.
int listen_on_loopback(std::uint16_t& port);

// Blocks SIGTERM and SIGINT in this thread and those it starts, and returns a descriptor that is
// readable once one of them has come. Throws std::system_error.
int termination_descriptor();

// Writes a line to stdout at once: {"event":"ready","server":NAME,"address":…,"port":…,"pid":…} and
// {"event":"exit","server":NAME,"counters":{…}} with everything else of `more`.
void print_ready(std::string_view server, std::uint16_t port);
void print_exit(std::string_view server, const Json& counters, const Json& more = Json::object());

// CLOCK_MONOTONIC, ns: what Python calls time.monotonic_ns().
std::int64_t now_ns();

}  // namespace spawnpool::load::bench
