// What is live on the heap of one process, and the most that ever was. Apart from the interposer,
// like the slots, so that it can be tested in a process with its own malloc.
//
// Every order is relaxed: a count says nothing about other memory.
#pragma once

#include <atomic>
#include <cstdint>
#include <numeric>

#include "harness/cost/cpu_counter.hpp"

namespace spawnpool::cost {

// The heap of one process, in usable bytes (malloc_usable_size): free is told no size, and the size
// asked for is kept nowhere. Its live bytes are `told` and what is in `untold`.
//
// The threads of a CPU add up what they allocate and free in the CPU's part of `untold`, and tell
// the process so seldom that most calls cost no atomic addition (5 ns each on a recent server).
// What is freed is first taken by the CPU's next allocations, so one CPU by itself never makes the
// peak too high. Beside others that grow it may, by what it keeps back.
struct AllocationHeap {
  // A CPU tells its growth once it is as large as this. The peak is therefore at most so much too
  // low per CPU.
  static constexpr std::int32_t growth_told_from_bytes = 4096;
  // A CPU may keep back so much of what was freed on it, which is glibc's M_MMAP_THRESHOLD, and as
  // much again as the block with which it came to that last: whoever allocates and frees blocks of
  // its size, one after the other, tells nothing.
  static constexpr std::int32_t kept_back_bytes = 131'072;
  // Larger blocks than glibc's DEFAULT_MMAP_THRESHOLD_MAX are mapped for themselves, so that
  // keeping them back saves nothing of note.
  static constexpr std::int64_t largest_kept_block_bytes = 33'554'432;

  std::atomic<std::int64_t> told;
  std::atomic<std::int64_t> peak;  // the highest that `told` has been
  CpuCounter untold;
};

// A change of the heap that is no CPU's any more, or never was.
[[gnu::cold, gnu::noinline]] inline void tell_heap(AllocationHeap& heap, std::int64_t bytes) {
  const std::int64_t told = heap.told.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  std::int64_t peak = heap.peak.load(std::memory_order_relaxed);
  while (told > peak && !heap.peak.compare_exchange_weak(peak, told, std::memory_order_relaxed)) {
  }
}

// By a block of this size, of any thread.
[[gnu::always_inline]] inline void grow_heap(AllocationHeap& heap, std::int64_t bytes) {
  const CpuChange change =
      add_on_this_cpu<AllocationHeap::growth_told_from_bytes>(heap.untold, bytes);
  if (change.part == nullptr || change.taken != 0) [[unlikely]] {
    tell_heap(heap, change.part == nullptr ? bytes : change.taken);
  }
}

[[gnu::always_inline]] inline void shrink_heap(AllocationHeap& heap, std::int64_t bytes) {
  const CpuChange change =
      subtract_on_this_cpu<-AllocationHeap::kept_back_bytes>(heap.untold, bytes);
  if (change.part == nullptr) [[unlikely]] {
    tell_heap(heap, -bytes);
  } else if (change.taken != 0) [[unlikely]] {
    change.part->slack.store(bytes <= AllocationHeap::largest_kept_block_bytes ? bytes : 0,
                             std::memory_order_relaxed);
    tell_heap(heap, change.taken);
  }
}

// What is live; exact while nobody allocates or frees.
inline std::int64_t live_bytes(const AllocationHeap& heap) {
  return std::accumulate(heap.untold.begin(), heap.untold.end(),
                         heap.told.load(std::memory_order_relaxed),
                         [](std::int64_t sum, const CpuPart& part) {
                           return sum + part.value.load(std::memory_order_relaxed);
                         });
}

// Nothing is on the heap; for the one thread that there is.
inline void clear_heap(AllocationHeap& heap) {
  heap.told.store(0, std::memory_order_relaxed);
  heap.peak.store(0, std::memory_order_relaxed);
  for (CpuPart& part : heap.untold) {
    part.value.store(0, std::memory_order_relaxed);
    part.slack.store(0, std::memory_order_relaxed);
  }
}

}  // namespace spawnpool::cost
