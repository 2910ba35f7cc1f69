// The phases of a server's work to which its allocations and system calls are attributed.
#pragma once

#include <array>
#include <cstddef>

namespace spawnpool::cost {

// A target marks its phases in a word of each thread, in which the thread keeps the number of its
// phase: the index of its name here. Its program exports the word, for who counts from outside, and
// a function that returns the calling thread's, for who counts from within:
//   extern "C" thread_local volatile std::uint32_t spawnpool_phase_word;
//   extern "C" volatile std::uint32_t* spawnpool_phase();
// Our servers do (servers/core/phase.hpp). The first is for all else: threads that mark nothing,
// and numbers that are none of these.
inline constexpr std::array<const char*, 9> phase_names = {
    "other", "accept", "hand_off", "setup", "read", "parse", "handle", "write", "close"};
inline constexpr std::size_t phase_count = phase_names.size();

}  // namespace spawnpool::cost
