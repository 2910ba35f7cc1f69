#include "harness/cost/allocation_counter.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <fstream>
#include <regex>

#include "harness/cost/test_child.hpp"

namespace spawnpool::cost {

// For Google Test's messages.
// NOLINTNEXTLINE(readability-identifier-naming): the name is Google Test's
static void PrintTo(const AllocationCounts& counts, std::ostream* out) {
  *out << counts.allocations << " allocations, " << counts.frees << " frees, " << counts.bytes
       << " bytes, " << counts.threads_started << " threads";
}

namespace {

using Arguments = std::vector<std::string>;

AllocationCounts operator-(const AllocationCounts& a, const AllocationCounts& b) {
  return {.allocations = a.allocations - b.allocations,
          .frees = a.frees - b.frees,
          .bytes = a.bytes - b.bytes,
          .threads_started = a.threads_started - b.threads_started};
}

// Runs a program to its end and returns what the counter says about it.
AllocationCounts counted(const Arguments& arguments) {
  AllocationCounter counter(ALLOCATION_LIBRARY);
  EXPECT_FALSE(counter.attached());
  TestChild child(arguments, counter.environment(), counter.fd());
  child.release();
  EXPECT_EQ(child.wait(), 0);
  EXPECT_TRUE(counter.attached());
  return counter.read();
}

AllocationCounts counted_workload(Arguments arguments) {
  arguments.insert(arguments.begin(), ALLOCATION_WORKLOAD);
  return counted(arguments);
}

bool attaches_to(const std::string& program, bool inherit = true) {
  AllocationCounter counter(ALLOCATION_LIBRARY);
  TestChild child({program, "heap", "1"}, counter.environment(), inherit ? counter.fd() : -1);
  child.release();
  EXPECT_EQ(child.wait(), 0) << program;
  return counter.attached();
}

// What valgrind memcheck counts in the same program.
AllocationCounts valgrind_workload(Arguments arguments) {
  arguments.insert(arguments.begin(), {"valgrind", "--log-fd=1", ALLOCATION_WORKLOAD});
  TestChild child(arguments);
  child.release();
  std::string log = child.read_to_end();
  EXPECT_EQ(child.wait(), 0) << "is valgrind installed? " << log;
  std::erase(log, ',');
  std::smatch usage;
  EXPECT_TRUE(std::regex_search(
      log, usage,
      std::regex("total heap usage: (\\d+) allocs (\\d+) frees (\\d+) bytes allocated")))
      << log;
  return {.allocations = std::stoull(usage.str(1)),
          .frees = std::stoull(usage.str(2)),
          .bytes = std::stoull(usage.str(3))};
}

// One round of allocation_workload's `heap`, added up from its source.
constexpr AllocationCounts heap_round{.allocations = 3 + 3 + 2 + 4 + 3,
                                      .frees = 3 + 3 + 2 + 4 + 3,
                                      .bytes = (100 + 150 + 0) + (10 + 1000 + 20) + (100 + 200) +
                                               (200 + 256 + 70 + 30) + (8 + 77 + 64)};

TEST(AllocationCounter, CountsEveryKindOfCallExactly) {
  const AllocationCounts difference =
      counted_workload({"heap", "1001"}) - counted_workload({"heap", "1"});
  EXPECT_EQ(difference, (AllocationCounts{.allocations = 1000 * heap_round.allocations,
                                          .frees = 1000 * heap_round.frees,
                                          .bytes = 1000 * heap_round.bytes}));
}

TEST(AllocationCounter, AgreesWithValgrind) {
  const AllocationCounts difference =
      valgrind_workload({"heap", "101"}) - valgrind_workload({"heap", "1"});
  EXPECT_EQ(difference, counted_workload({"heap", "101"}) - counted_workload({"heap", "1"}));
}

TEST(AllocationCounter, CountsPvallocAsAskedFor) {
  const AllocationCounts difference =
      counted_workload({"pvalloc", "11"}) - counted_workload({"pvalloc", "1"});
  EXPECT_EQ(difference, (AllocationCounts{.allocations = 10, .frees = 10, .bytes = 400}));
}

TEST(AllocationCounter, LosesNothingAmongThreads) {
  const AllocationCounts difference =
      counted_workload({"threads", "16", "10000"}) - counted_workload({"threads", "16", "0"});
  // Each thread's vector of pointers grows by 8 bytes a block.
  EXPECT_EQ(difference, (AllocationCounts{.allocations = 160'000,
                                          .frees = 160'000,
                                          .bytes = 160'000 * (24 + sizeof(void*))}));
}

TEST(AllocationCounter, CountsThreadsStarted) {
  EXPECT_EQ(counted_workload({"threads", "0", "1"}).threads_started, 0);
  EXPECT_EQ(counted_workload({"threads", "200", "1"}).threads_started, 200);
}

TEST(AllocationCounter, CountsForkedChildren) {
  const AllocationCounts difference =
      counted_workload({"fork", "21"}) - counted_workload({"fork", "1"});
  EXPECT_EQ(difference, (AllocationCounts{.allocations = 20, .frees = 20, .bytes = 660}));
}

TEST(AllocationCounter, CarriesOverWhatCameBeforeIt) {
  const AllocationCounts early = counted({ALLOCATION_WORKLOAD_EARLY, "heap", "0"});
  EXPECT_EQ(early.bytes - counted_workload({"heap", "0"}).bytes, 1'000'003);
}

TEST(AllocationCounter, CountsAProgramThatIsNotOurs) {
  EXPECT_GT(counted({"/bin/sh", "-c", "exec /bin/ls /"}).allocations, 0);
}

TEST(AllocationCounter, KnowsTargetsItCannotCount) {
  EXPECT_TRUE(attaches_to(ALLOCATION_WORKLOAD));
  EXPECT_FALSE(attaches_to(ALLOCATION_WORKLOAD_STATIC));
  EXPECT_FALSE(attaches_to(OWN_MALLOC));
  EXPECT_FALSE(attaches_to(ALLOCATION_WORKLOAD, false)) << "without the descriptor";
}

TEST(AllocationCounter, LeavesAnotherFileAlone) {
  const std::string path = testing::TempDir() + "allocation_counter_test.file";
  const std::string text(4096, 'x');
  std::ofstream(path) << text;
  const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(file, 0);
  TestChild child({ALLOCATION_WORKLOAD, "heap", "1"},
                  {"LD_PRELOAD=" ALLOCATION_LIBRARY, "SPAWNPOOL_ALLOC_FD=" + std::to_string(file)},
                  file);
  child.release();
  EXPECT_EQ(child.wait(), 0);
  std::string now(text.size(), '\0');
  EXPECT_EQ(pread(file, now.data(), now.size(), 0), static_cast<ssize_t>(text.size()));
  EXPECT_EQ(now, text);
  close(file);
  unlink(path.c_str());
}

TEST(AllocationCounter, PassesThroughWithoutItsVariable) {
  TestChild child({ALLOCATION_WORKLOAD, "heap", "3"}, {"LD_PRELOAD=" ALLOCATION_LIBRARY});
  child.release();
  EXPECT_EQ(child.wait(), 0);
}

TEST(AllocationCounter, KeepsItsDescriptorFromOtherChildren) {
  const AllocationCounter counter(ALLOCATION_LIBRARY);
  EXPECT_EQ(fcntl(counter.fd(), F_GETFD), FD_CLOEXEC);
}

TEST(AllocationCounter, RefusesALibraryItCannotPreload) {
  EXPECT_THROW(AllocationCounter("/nowhere/lib.so"), std::invalid_argument);
  EXPECT_THROW(AllocationCounter("/a path/lib.so"), std::invalid_argument);
  EXPECT_THROW(AllocationCounter("/a:path/lib.so"), std::invalid_argument);
}

}  // namespace
}  // namespace spawnpool::cost
