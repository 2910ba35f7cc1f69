// How threads count into the slots of an AllocationPage, and how the slots add up. Apart from the
// interposer, which only calls it, so that it can be tested in a process with its own malloc.
//
// Every order is relaxed but that of the owner: a count says nothing about other memory.
#pragma once

#include "harness/cost/allocation_counter.hpp"
#include "harness/cost/allocation_page.hpp"

namespace spawnpool::cost {

// Two ways to add to a counter: as its only writer, or as one of many.
struct AddAlone {
  template <class T>
  static void add(std::atomic<T>& counter, T amount) {
    counter.store(counter.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
};
struct AddAmongMany {
  template <class T>
  static void add(std::atomic<T>& counter, T amount) {
    counter.fetch_add(amount, std::memory_order_relaxed);
  }
};

template <class Add>
void count_allocation(AllocationTally& tally, std::size_t phase, std::uint64_t bytes) {
  PhaseTally& of_phase = tally.phases[phase < phase_count ? phase : 0];
  Add::add(of_phase.allocations, std::uint64_t{1});
  Add::add(of_phase.bytes, bytes);
}

template <class Add>
void count_free(AllocationTally& tally) {
  Add::add(tally.frees, std::uint64_t{1});
}

template <class Add>
void count_thread(AllocationTally& tally, std::uint64_t stack_bytes) {
  Add::add(tally.threads_started, std::uint64_t{1});
  Add::add(tally.stack_bytes_started, stack_bytes);
}

// A slot for the calling thread alone, until release(); nullptr when all are in use.
inline AllocationSlot* claim_slot(AllocationPage& page, std::uint32_t image) {
  for (AllocationSlot& slot : page.slots) {
    std::uint32_t nobody = 0;
    // Acquire: what the owner before has counted is what this one counts on from.
    if (slot.owner.load(std::memory_order_relaxed) == 0 &&
        slot.owner.compare_exchange_strong(nobody, image, std::memory_order_acquire,
                                           std::memory_order_relaxed)) {
      return &slot;
    }
  }
  return nullptr;
}

inline void release_slot(AllocationSlot& slot) {
  slot.owner.store(0, std::memory_order_release);
}

// May be called while threads count: each number is then of its own instant.
AllocationCounts counts_of(const AllocationPage& page);

}  // namespace spawnpool::cost
