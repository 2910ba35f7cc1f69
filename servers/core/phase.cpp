#include "servers/core/phase.hpp"

#ifdef SPAWNPOOL_PHASES

extern "C" {
constinit thread_local volatile std::uint32_t spawnpool_phase_word = 0;
}

// The calling thread's phase, for as long as the thread lives.
extern "C" volatile std::uint32_t* spawnpool_phase() noexcept;
volatile std::uint32_t* spawnpool_phase() noexcept {
  return &spawnpool_phase_word;
}

#endif
