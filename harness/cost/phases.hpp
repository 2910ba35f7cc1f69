// The phases of a server's work to which its allocations are attributed.
#pragma once

#include <array>
#include <cstddef>

namespace spawnpool::cost {

// A target marks its phases when its program exports a function
//   extern "C" volatile std::uint32_t* spawnpool_phase();
// that returns the address of a word of the calling thread, in which the thread keeps the number of
// its phase: the index of its name here. Our servers do (servers/core/phase.hpp). The first is for
// all else: threads that mark nothing, and numbers that are none of these.
inline constexpr std::array<const char*, 9> phase_names = {
    "other", "accept", "hand_off", "setup", "read", "parse", "handle", "write", "close"};
inline constexpr std::size_t phase_count = phase_names.size();

}  // namespace spawnpool::cost
