#include "harness/load/run_delay.hpp"

#include <cstdint>
#include <fstream>

namespace spawnpool::load {

std::optional<std::chrono::nanoseconds> run_delay() {
  std::ifstream file("/proc/thread-self/schedstat");
  std::int64_t ran = 0;
  std::int64_t waited = 0;
  if (!(file >> ran >> waited)) {
    return std::nullopt;
  }
  return std::chrono::nanoseconds(waited);
}

}  // namespace spawnpool::load
