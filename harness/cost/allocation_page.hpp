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
  std::atomic<std::int64_t> untold_heap;  // change of the heap that AllocationHeap has not heard of
};

// The heap of one process, in usable bytes (malloc_usable_size): free is told no size, and the size
// asked for is kept nowhere.
struct AllocationHeap {
  // A slot tells its change of the heap once it is as large as this, so that most allocations cost
  // no atomic addition (2.7 ns of 6.8 for a malloc and a free that are both told at once). The peak
  // is therefore at most so much too low per thread alive, by growth that is not told yet.
  static constexpr std::int64_t growth_told_from_bytes = 4096;
  // What a thread frees may be told later, since it first takes its own next allocations from it: a
  // thread by itself never makes the peak too high. Beside others that grow it may, by as much. It
  // is glibc's M_MMAP_THRESHOLD: whoever allocates and frees blocks below it tells nothing.
  static constexpr std::int64_t shrinkage_told_from_bytes = 131'072;

  std::atomic<std::int64_t> live;  // as told
  std::atomic<std::int64_t> peak;  // the highest that `live` has been
};

// What threads without a slot of their own write to, with atomic additions only.
struct alignas(64) AllocationCommon {
  AllocationTally tally;
  AllocationHeap heap;
};

struct AllocationPage {
  static constexpr std::uint64_t magic_and_version = 0x73706e616c6c6302;  // "spnallc", version 2
  static constexpr std::size_t slot_count = 1024;

  std::uint64_t magic;                  // written by the reader before the target starts
  std::atomic<std::uint64_t> attached;  // programs whose malloc is counted here
  std::atomic<std::uint64_t> marking;   // those among them that mark their phases
  // A process image is a process between its start, by exec or fork, and its end or next exec.
  // They are numbered from 1, since process ids are not unique among namespaces and times.
  std::atomic<std::uint32_t> images;
  std::atomic<std::int32_t> heap_process;  // the id of the first process to attach
  std::atomic<std::uint32_t> heap_image;   // the image of that process whose heap is counted
  AllocationCommon common;
  std::array<AllocationSlot, slot_count> slots;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free &&
                  std::atomic<std::uint32_t>::is_always_lock_free,
              "a lock inside the page would not work between processes");

}  // namespace spawnpool::cost
