#include "servers/core/phase.hpp"

#ifdef SPAWNPOOL_PHASES

namespace spawnpool {

constinit thread_local volatile std::uint32_t current_phase = 0;

}  // namespace spawnpool

// The calling thread's phase, for as long as the thread lives.
extern "C" volatile std::uint32_t* spawnpool_phase() noexcept;
volatile std::uint32_t* spawnpool_phase() noexcept {
  return &spawnpool::current_phase;
}

#endif
