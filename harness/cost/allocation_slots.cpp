#include "harness/cost/allocation_slots.hpp"

#include <algorithm>

namespace spawnpool::cost {
namespace {

void add(AllocationCounts& counts, const AllocationTally& tally) {
  for (std::size_t phase = 0; phase < phase_count; ++phase) {
    const std::uint64_t count = tally.phases[phase].allocations.load(std::memory_order_relaxed);
    const std::uint64_t bytes = tally.phases[phase].bytes.load(std::memory_order_relaxed);
    counts.by_phase[phase].allocations += count;
    counts.by_phase[phase].bytes += bytes;
    counts.allocations += count;
    counts.bytes += bytes;
  }
  counts.frees += tally.frees.load(std::memory_order_relaxed);
  counts.threads_started += tally.threads_started.load(std::memory_order_relaxed);
  counts.stack_bytes_started += tally.stack_bytes_started.load(std::memory_order_relaxed);
}

}  // namespace

AllocationCounts counts_of(const AllocationPage& page) {
  AllocationCounts counts;
  add(counts, page.common);
  for (const AllocationSlot& slot : page.slots) {
    add(counts, slot.tally);
  }
  const std::int64_t live = live_bytes(page.heap);
  const std::int64_t peak = page.heap.peak.load(std::memory_order_relaxed);
  counts.heap_live_bytes = static_cast<std::uint64_t>(std::max(live, std::int64_t{0}));
  counts.heap_peak_bytes = static_cast<std::uint64_t>(std::max(live, peak));
  return counts;
}

}  // namespace spawnpool::cost
