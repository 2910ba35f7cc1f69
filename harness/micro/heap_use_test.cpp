#include "harness/micro/heap_use.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <thread>

namespace spawnpool::micro {
namespace {

HeapUse counted(const std::function<void()>& work) {
  start_counting();
  work();
  return stop_counting();
}

// Keeps the compiler from leaving out an allocation that nobody looks into.
void* used(void* block) {
  void* volatile kept = block;
  return kept;
}

TEST(HeapUse, CountsEveryWayToAllocate) {
  EXPECT_TRUE(counts_heap_use());
  EXPECT_EQ(counted([] {}).allocations, 0);
  EXPECT_EQ(counted([] { std::free(used(std::malloc(100))); }).allocations, 1);
  EXPECT_EQ(counted([] { std::free(used(std::calloc(10, 10))); }).allocations, 1);
  EXPECT_EQ(counted([] { std::free(used(std::realloc(used(std::malloc(9)), 99))); }).allocations,
            2);
  EXPECT_EQ(counted([] { std::free(used(std::aligned_alloc(64, 128))); }).allocations, 1);
  EXPECT_EQ(counted([] {
              void* block = nullptr;
              ASSERT_EQ(posix_memalign(&block, 64, 100), 0);
              std::free(block);
            }).allocations,
            1);
  EXPECT_EQ(
      counted([] { std::string(100, 'x').swap(*std::make_unique<std::string>()); }).allocations, 2);
  struct alignas(64) Wide {
    char bytes[64];
  };
  EXPECT_EQ(counted([] { used(std::make_unique<Wide>().get()); }).allocations, 1);
}

TEST(HeapUse, RefusesAlignmentsThatAreNone) {
  void* block = nullptr;
  EXPECT_EQ(posix_memalign(&block, 3, 100), EINVAL);
  EXPECT_EQ(posix_memalign(&block, 24, 100), EINVAL);
  EXPECT_EQ(posix_memalign(&block, 0, 100), EINVAL);
}

TEST(HeapUse, CountsOfOtherThreads) {
  const auto result =
      counted([] { std::thread([] { used(std::make_unique<int>().get()); }).join(); });
  EXPECT_GE(result.allocations, 2) << "the thread's state, and what it allocated";
}

TEST(HeapUse, TellsTheMostBytesInUse) {
  const auto result = counted([] {
    std::free(used(std::malloc(1'000'000)));
    std::free(used(std::malloc(1'000'000)));
  });
  EXPECT_GE(result.max_bytes, 1'000'000);
  EXPECT_LT(result.max_bytes, 1'100'000) << "never both at once";

  void* const older = used(std::malloc(1'000'000));
  EXPECT_EQ(counted([&] { std::free(older); }).max_bytes, 0);

  const auto moved = counted([] {
    void* block = used(std::malloc(500'000));
    block = used(std::realloc(block, 1'000'000));
    std::free(block);
  });
  EXPECT_GE(moved.max_bytes, 1'000'000);
  EXPECT_LT(moved.max_bytes, 1'100'000);
}

TEST(HeapUse, LeavesOutWhatIsNotInTheLoop) {
  const auto result = counted([] {
    const auto set_up = std::make_unique<std::string>(1'000'000, 'x');
    count_from_here();
    used(std::make_unique<int>().get());
    count_to_here();
    used(std::make_unique<std::string>(1'000'000, 'x').get());
  });
  EXPECT_EQ(result.allocations, 1);
  EXPECT_LT(result.max_bytes, 1000);
}

TEST(HeapUse, CountsNothingWhileTurnedOff) {
  start_counting();
  stop_counting();
  std::free(used(std::malloc(100)));
  EXPECT_EQ(stop_counting().allocations, 0);
}

}  // namespace
}  // namespace spawnpool::micro
