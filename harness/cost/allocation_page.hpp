// The memory shared by the allocation interposer in a target (libspawnpool_alloc.so) and its
// reader. Both are built from this header; a change of layout takes a new version.
//
// Counts lie in slots. A slot has at most one thread that writes, its owner, so that counting takes
// plain loads and stores and no cache line goes from core to core. A slot of a thread that has
// ended is taken by the next one, which counts on from where it stands: the sum over the slots
// loses nothing. Threads that find no slot free count, with atomic additions, into one that they
// share.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "harness/cost/allocation_heap.hpp"
#include "harness/cost/phases.hpp"

namespace spawnpool::cost {

// Environment variable with the number of the descriptor, inherited by the target, that holds the
// page.
inline constexpr const char* allocation_fd_variable = "SPAWNPOOL_ALLOC_FD";

// The page's name in /proc/PID/maps, of every process whose allocations are counted in it.
inline constexpr const char* allocation_page_name = "spawnpool-allocations";

struct PhaseTally {
  std::atomic<std::uint64_t> allocations;
  std::atomic<std::uint64_t> bytes;  // as asked for, without the allocator's overhead
};

// What AllocationCounts says of each.
struct AllocationTally {
  std::array<PhaseTally, phase_count> phases;
  std::atomic<std::uint64_t> frees;
  std::atomic<std::uint64_t> threads_started;
  std::atomic<std::uint64_t> stack_bytes_started;
};

struct alignas(64) AllocationSlot {
  std::atomic<std::uint32_t> owner;  // the image whose thread writes here, 0: nobody's
  AllocationTally tally;
};

struct AllocationPage {
  static constexpr std::uint64_t magic_and_version = 0x73706e616c6c6303;  // "spnallc", version 3
  static constexpr std::size_t slot_count = 1024;

  std::uint64_t magic;                  // written by the reader before the target starts
  std::atomic<std::uint64_t> attached;  // programs whose malloc is counted here
  std::atomic<std::uint64_t> marking;   // those among them that mark their phases
  // A process image is a process between its start, by exec or fork, and its end or next exec.
  // They are numbered from 1, since process ids are not unique among namespaces and times.
  std::atomic<std::uint32_t> images;
  std::atomic<std::int32_t> heap_process;  // the id of the first process to attach: `heap` is its
  alignas(64) AllocationTally common;      // of threads without a slot, with atomic additions only
  AllocationHeap heap;
  std::array<AllocationSlot, slot_count> slots;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free &&
                  std::atomic<std::uint32_t>::is_always_lock_free,
              "a lock inside the page would not work between processes");

}  // namespace spawnpool::cost
