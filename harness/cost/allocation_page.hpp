// The memory shared by the allocation interposer in a target (libspawnpool_alloc.so) and its
// reader. Both are built from this header; a change of layout takes a new version.
#pragma once

#include <atomic>
#include <cstdint>

namespace spawnpool::cost {

// Environment variable with the number of the descriptor, inherited by the target, that holds the
// page.
inline constexpr const char* allocation_fd_variable = "SPAWNPOOL_ALLOC_FD";

// The page's name in /proc/PID/maps, of every process whose allocations are counted in it.
inline constexpr const char* allocation_page_name = "spawnpool-allocations";

struct AllocationPage {
  static constexpr std::uint64_t magic_and_version = 0x73706e616c6c6301;  // "spnallc", version 1

  std::uint64_t magic;                  // written by the reader before the target starts
  std::atomic<std::uint64_t> attached;  // process images whose malloc is counted here
  std::atomic<std::uint64_t> allocations;
  std::atomic<std::uint64_t> frees;
  std::atomic<std::uint64_t> bytes;  // as asked for, without the allocator's overhead
  std::atomic<std::uint64_t> threads_started;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free,
              "a lock inside the page would not work between processes");

}  // namespace spawnpool::cost
