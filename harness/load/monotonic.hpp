// The clock of the generator's hot path.
#pragma once

#include <cstdint>

#include "harness/load/load_spec.hpp"

namespace spawnpool::load {

// Nanoseconds of Clock since its epoch.
inline std::int64_t now_ns() {
  return Clock::now().time_since_epoch().count();
}

}  // namespace spawnpool::load
