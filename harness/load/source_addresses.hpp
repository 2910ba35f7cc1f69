// Local addresses for connections to come from, so that churn does not run out of ports.
#pragma once

#include <string_view>
#include <vector>

#include "harness/load/load_spec.hpp"

namespace spawnpool::load {

// Reads "127.0.0.1,127.0.1.0/24,::1": addresses and ranges of up to 65,536. Throws cli::UsageError
// for text that is none of these, and for addresses of another family than the endpoint's.
std::vector<sockaddr_storage> parse_source_addresses(std::string_view text,
                                                     const Endpoint& endpoint);

// What to rotate over when the user names none. A port that was closed from this side is taken for
// a minute (TIME_WAIT), so a connection per request to 127.0.0.0/8 goes over as many of its
// addresses as never come round in that time; otherwise the kernel's choice will do.
std::vector<sockaddr_storage> default_source_addresses(const LoadSpec& spec);

// Has the socket, which is yet to be connected, come from the address. Its port is chosen on
// connect, among those free towards the server. False with errno. Safe to call from any thread.
bool bind_source(int fd, const sockaddr_storage& source);

}  // namespace spawnpool::load
