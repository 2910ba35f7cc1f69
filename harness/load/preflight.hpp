// What can be told before the load that the machine would refuse in the middle of it.
#pragma once

#include "harness/load/load_spec.hpp"
#include "harness/load/url.hpp"

namespace spawnpool::load {

// Looks the host up. Throws cli::UsageError.
Endpoint resolve(const Url& url);

// Raises the limit of open descriptors as far as it may be, and refuses a load that needs more
// descriptors or local ports than there are. Throws cli::UsageError, which names limit and mend.
void check_limits(const LoadSpec& spec);

// Connects once, so that a wrong address is told at once. Throws cli::UsageError.
void check_reachable(const LoadSpec& spec);

}  // namespace spawnpool::load
