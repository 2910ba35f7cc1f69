#pragma once

#include <string>

#include "servers/cli/build_folder.hpp"

namespace spawnpool::cost {

// The interposer that an AllocationCounter preloads. Throws as cli::program_folder().
inline std::string counter_library() {
  return cli::built("lib/libspawnpool_alloc.so");
}

}  // namespace spawnpool::cost
