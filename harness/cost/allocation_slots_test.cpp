// Slots with threads that count into them, in one process and with its own malloc.
#include "harness/cost/allocation_slots.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <thread>
#include <vector>

namespace spawnpool::cost {
namespace {

constexpr std::uint32_t image = 1;

std::unique_ptr<AllocationPage> new_page() {
  return std::make_unique<AllocationPage>();
}

// Runs `body` in this many threads at once.
template <class Body>
void in_threads(int count, const Body& body) {
  std::vector<std::jthread> threads;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back(body);
  }
}

TEST(AllocationSlots, LoseNothingWhenThreadsTakeThemInTurns) {
  constexpr int threads = 8;
  constexpr int turns = 500;
  const auto page = new_page();
  std::atomic<bool> done{false};
  std::jthread reader([&] {
    std::uint64_t before = 0;
    while (!done) {
      const AllocationCounts counts = counts_of(*page);
      EXPECT_GE(counts.allocations, before);
      before = counts.allocations;
    }
  });
  in_threads(threads, [&] {
    for (int turn = 0; turn < turns; ++turn) {
      AllocationSlot* const slot = claim_slot(*page, image);
      ASSERT_NE(slot, nullptr);
      for (std::uint64_t bytes = 1; bytes <= 10; ++bytes) {
        count_allocation<AddAlone>(slot->tally, bytes, bytes);
        count_free<AddAlone>(slot->tally);
      }
      count_thread<AddAlone>(slot->tally, 65'536);
      release_slot(*slot);
    }
  });
  done = true;
  reader.join();
  constexpr std::uint64_t all = std::uint64_t{threads} * turns;
  AllocationCounts expected{.allocations = 10 * all,
                            .frees = 10 * all,
                            .bytes = 55 * all,
                            .threads_started = all,
                            .stack_bytes_started = 65'536 * all};
  for (std::uint64_t phase = 1; phase < phase_count; ++phase) {
    expected.by_phase[phase] = {.allocations = all, .bytes = phase * all};
  }
  expected.by_phase[0] = {.allocations = 2 * all, .bytes = (9 + 10) * all};  // no phase's numbers
  EXPECT_EQ(counts_of(*page), expected);
  const auto used = std::count_if(page->slots.begin(), page->slots.end(),
                                  [](const auto& slot) { return slot.tally.frees != 0; });
  EXPECT_LE(used, threads) << "slots of ended threads are taken again";
}

TEST(AllocationSlots, AreForOneThreadEachAndThenShared) {
  const auto page = new_page();
  std::vector<AllocationSlot*> slots;
  for (std::size_t i = 0; i < AllocationPage::slot_count; ++i) {
    slots.push_back(claim_slot(*page, image));
  }
  std::sort(slots.begin(), slots.end());
  EXPECT_NE(slots.front(), nullptr);
  EXPECT_EQ(std::adjacent_find(slots.begin(), slots.end()), slots.end());
  EXPECT_EQ(claim_slot(*page, image), nullptr);

  in_threads(4, [&] {
    for (int i = 0; i < 1000; ++i) {
      count_allocation<AddAmongMany>(page->common, 2, 3);
      count_free<AddAmongMany>(page->common);
      count_thread<AddAmongMany>(page->common, 7);
    }
  });
  AllocationCounts expected{.allocations = 4000,
                            .frees = 4000,
                            .bytes = 12'000,
                            .threads_started = 4000,
                            .stack_bytes_started = 28'000};
  expected.by_phase[2] = {.allocations = 4000, .bytes = 12'000};
  EXPECT_EQ(counts_of(*page), expected);

  release_slot(*slots[500]);
  EXPECT_EQ(claim_slot(*page, image), slots[500]);
}

}  // namespace
}  // namespace spawnpool::cost
