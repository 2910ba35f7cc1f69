// What can be told before the load that the machine would refuse in the middle of it.
#pragma once

#include <cstdint>
#include <optional>

#include "harness/load/load_spec.hpp"
#include "harness/load/url.hpp"

namespace spawnpool::load {

// Looks the host up. Throws cli::UsageError.
Endpoint resolve(const Url& url);

// What this machine has for connections.
struct Limits {
  std::uint64_t descriptors = 0;  // that the process may be allowed to open
  // Local ports to choose from on one address; nothing when the kernel does not tell.
  std::optional<std::uint64_t> ports = {};
};

// Raises the limit of open descriptors for the load as far as it may be.
Limits take_limits(const LoadSpec& spec);

// Refuses a load that needs more descriptors or local ports than there are. Throws cli::UsageError,
// which names limit and mend.
void check_limits(const LoadSpec& spec, const Limits& limits);

// Refuses source addresses that are none of this machine's. Throws cli::UsageError.
void check_sources(const LoadSpec& spec);

// Connects once, so that a wrong address is told at once. Throws cli::UsageError.
void check_reachable(const LoadSpec& spec);

}  // namespace spawnpool::load
