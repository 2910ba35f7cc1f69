// Counts what all threads of an executable get from malloc and its relatives, operator new
// included, where heap_use_hooks.cpp is linked into it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace spawnpool::micro {

struct HeapUse {
  std::int64_t allocations = 0;
  // The most that was in use at once beyond what was when the counting began, in the sizes that
  // malloc really gave.
  std::int64_t max_bytes = 0;
};

// Whether the hooks are linked in: without them nothing is counted.
bool counts_heap_use();

// Counting costs some atomic operations an allocation; turned off, as it is at the start, a load
// and a branch. All are thread-safe, though an allocation of another thread at the moment of a call
// may count or not.
void start_counting();
HeapUse stop_counting();

// Around the loop of a benchmark, so that what it does before and after does not count: the first
// forgets what was counted, the second ends the counting until the next start_counting().
void count_from_here();
void count_to_here();

// For the hooks: a block was given, or is about to be taken back. nullptr is none.
void note_allocation(void* block) noexcept;
void note_free(void* block) noexcept;

}  // namespace spawnpool::micro
