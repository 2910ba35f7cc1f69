// What a thread of the server is doing, for tools that attribute to it what they count. They find
// the word among the symbols of the program: a tracer from outside by spawnpool_phase_word, a
// preloaded library by the function spawnpool_phase. Nobody else reads it. Without SPAWNPOOL_PHASES
// (a CMake option) there are no marks.
#pragma once

#include <cstdint>

namespace spawnpool {

// The order is part of the interface: a tool knows the phases by their numbers.
enum class Phase : std::uint32_t {
  none,      // not on the way of a connection or a request
  accept,    // waiting for a connection and taking it
  hand_off,  // giving it to the thread that serves it: starting one, or waking it
  setup,     // that thread prepares to serve it
  read,      // waiting for a request and receiving it
  parse,     // making sense of it
  handle,    // in the handler
  write,     // making and sending the answer
  close,     // ending the connection
};

#ifdef SPAWNPOOL_PHASES

// Volatile, since the compiler knows that an allocation does not read it, and would drop what is
// overwritten after one.
extern "C" constinit thread_local volatile std::uint32_t spawnpool_phase_word;

// Says what the calling thread does from now on. One store.
inline void mark(Phase phase) {
  spawnpool_phase_word = static_cast<std::uint32_t>(phase);
}

#else

inline void mark(Phase /*phase*/) {}

#endif

}  // namespace spawnpool
