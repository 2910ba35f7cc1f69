// A heap with threads that change it, in one process and with its own malloc.
#include "harness/cost/allocation_heap.hpp"

#include <gtest/gtest.h>

#include <barrier>
#include <memory>
#include <thread>
#include <vector>

#include "harness/cost/on_cpu.hpp"

namespace spawnpool::cost {
namespace {

// Runs `body` in this many threads at once.
template <class Body>
void in_threads(int count, const Body& body) {
  std::vector<std::jthread> threads;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back(body);
  }
}

double peak_of(const AllocationHeap& heap) {
  return static_cast<double>(heap.peak);
}

TEST(AllocationHeap, IsKnownExactlyAndItsPeakToAFewBytes) {
  constexpr std::int64_t limit = AllocationHeap::growth_told_from_bytes;
  const auto heap = std::make_unique<AllocationHeap>();
  const OnCpu one(0);
  for (int i = 0; i < 1000; ++i) {
    grow_heap(*heap, 100);
    EXPECT_EQ(live_bytes(*heap), 100 * (i + 1));
  }
  for (int i = 0; i < 1000; ++i) {
    shrink_heap(*heap, 100);
  }
  EXPECT_EQ(live_bytes(*heap), 0);
  EXPECT_NEAR(peak_of(*heap), 100'000, limit);

  grow_heap(*heap, 1'000'000);  // as large by itself: told at once
  shrink_heap(*heap, 1'000'000);
  EXPECT_EQ(peak_of(*heap), 1'000'000);
}

// What is freed on a CPU, by whatever thread, is what its next allocations come from.
TEST(AllocationHeap, HasNoPeakTooHighWhereAllIsOnOneCpu) {
  const auto heap = std::make_unique<AllocationHeap>();
  const OnCpu one(0);  // which threads inherit
  for (std::int64_t bytes = 5000; bytes <= 5'000'000; bytes += 99'000) {
    for (int i = 0; i < 10; ++i) {
      in_threads(1, [&] {
        grow_heap(*heap, bytes);
        shrink_heap(*heap, bytes);
      });
    }
    EXPECT_LE(peak_of(*heap), bytes);
    EXPECT_GT(peak_of(*heap), bytes - AllocationHeap::growth_told_from_bytes);
    EXPECT_EQ(live_bytes(*heap), 0);
  }

  clear_heap(*heap);
  for (std::int64_t bytes = 5000; bytes <= 40'000'000; bytes *= 2) {
    for (int i = 0; i < 10; ++i) {
      grow_heap(*heap, bytes);
      grow_heap(*heap, 64);
      shrink_heap(*heap, bytes);
      shrink_heap(*heap, 64);
    }
    EXPECT_LE(peak_of(*heap), bytes + 64);
    EXPECT_GT(peak_of(*heap), bytes + 64 - AllocationHeap::growth_told_from_bytes);
    EXPECT_EQ(live_bytes(*heap), 0);
  }
}

// So that it costs no atomic addition.
TEST(AllocationHeap, IsNotToldOfABlockThatIsAllocatedAndFreedAgainAndAgain) {
  if (!has_restartable_sequences()) {
    GTEST_SKIP() << "no restartable sequences";
  }
  const OnCpu one(0);
  for (const std::int64_t bytes : {64, 100'000, 200'000, 2'000'000, 30'000'000}) {
    const auto heap = std::make_unique<AllocationHeap>();
    for (int i = 0; i < 10; ++i) {
      grow_heap(*heap, bytes);
      const std::int64_t told = heap->told;
      shrink_heap(*heap, bytes);
      if (i > 2) {
        EXPECT_EQ(heap->told, told) << bytes;
        EXPECT_EQ(told, bytes > AllocationHeap::growth_told_from_bytes ? bytes : 0);
      }
    }
  }
}

TEST(AllocationHeap, HasAPeakTooHighByWhatAnotherCpuKeepsBack) {
  constexpr std::int64_t kept = AllocationHeap::kept_back_bytes - 1;
  const auto heap = std::make_unique<AllocationHeap>();
  {
    const OnCpu first(0);
    grow_heap(*heap, kept);
    shrink_heap(*heap, kept);
  }
  {
    const OnCpu second(1);
    if (!second.there() || !has_restartable_sequences()) {
      GTEST_SKIP() << "one CPU only, or no restartable sequences";
    }
    grow_heap(*heap, 1'000'000);
    EXPECT_EQ(live_bytes(*heap), 1'000'000);
    EXPECT_EQ(peak_of(*heap), 1'000'000 + kept);
  }
  {
    const OnCpu first(0);
    shrink_heap(*heap, 1);  // one more, and all is told
  }
  {
    const OnCpu second(1);
    grow_heap(*heap, 1'000'000);
    EXPECT_EQ(peak_of(*heap), 2'000'000 - 1);
  }
}

TEST(AllocationHeap, AddsUpOverThreads) {
  constexpr int threads = 8;
  constexpr int steps = 10'000;
  const auto heap = std::make_unique<AllocationHeap>();
  std::barrier all_there(threads);
  in_threads(threads, [&] {
    for (int i = 0; i < steps; ++i) {
      grow_heap(*heap, 48);
    }
    all_there.arrive_and_wait();
    for (int i = 0; i < steps - 1; ++i) {
      shrink_heap(*heap, 48);
    }
  });
  EXPECT_EQ(live_bytes(*heap), threads * 48);
  EXPECT_NEAR(peak_of(*heap), threads * steps * 48,
              std::thread::hardware_concurrency() * AllocationHeap::growth_told_from_bytes);
}

TEST(AllocationHeap, OfAnImageGoesWithIt) {
  const auto heap = std::make_unique<AllocationHeap>();
  grow_heap(*heap, 100);
  grow_heap(*heap, 10'000);
  clear_heap(*heap);
  EXPECT_EQ(live_bytes(*heap), 0);
  EXPECT_EQ(heap->peak, 0);
}

}  // namespace
}  // namespace spawnpool::cost
