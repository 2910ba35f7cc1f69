#include "harness/cost/allocation_counter.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "harness/cost/allocation_page.hpp"
#include "harness/cost/counter_library.hpp"
#include "harness/cost/on_cpu.hpp"
#include "harness/cost/test_child.hpp"
#include "harness/cost/valgrind_totals.hpp"
#include "servers/cli/build_folder.hpp"

namespace spawnpool::cost {

// For Google Test's messages.
// NOLINTNEXTLINE(readability-identifier-naming): the name is Google Test's
static void PrintTo(const AllocationCounts& counts, std::ostream* out) {
  *out << counts.allocations << " allocations, " << counts.frees << " frees, " << counts.bytes
       << " bytes, " << counts.threads_started << " threads with " << counts.stack_bytes_started
       << " bytes of stack; heap " << counts.heap_live_bytes << ", peak " << counts.heap_peak_bytes;
}

namespace {

using Arguments = std::vector<std::string>;

const std::string workload = cli::built("tests/allocation_workload");

// What was done more, but for the heap, which has tests of its own.
AllocationCounts operator-(const AllocationCounts& a, const AllocationCounts& b) {
  return {.allocations = a.allocations - b.allocations,
          .frees = a.frees - b.frees,
          .bytes = a.bytes - b.bytes,
          .threads_started = a.threads_started - b.threads_started,
          .stack_bytes_started = a.stack_bytes_started - b.stack_bytes_started};
}

// Runs a program to its end and returns what the counter says about it, and what it says itself.
AllocationCounts counted(const Arguments& arguments, std::string* output = nullptr,
                         const std::vector<std::string>& variables = {}) {
  AllocationCounter counter(counter_library());
  EXPECT_FALSE(counter.attached());
  std::vector<std::string> environment = counter.environment();
  environment.insert(environment.end(), variables.begin(), variables.end());
  TestChild child(arguments, environment, counter.fd());
  child.release();
  if (output != nullptr) {
    *output = child.read_to_end();
  }
  EXPECT_EQ(child.wait(), 0);
  EXPECT_TRUE(counter.attached());
  return counter.read();
}

AllocationCounts counted_workload(Arguments arguments, std::string* output = nullptr) {
  arguments.insert(arguments.begin(), workload);
  return counted(arguments, output);
}

bool attaches_to(const std::string& program, bool inherit = true) {
  AllocationCounter counter(counter_library());
  TestChild child({program, "heap", "1"}, counter.environment(), inherit ? counter.fd() : -1);
  child.release();
  EXPECT_EQ(child.wait(), 0) << program;
  return counter.attached();
}

// What valgrind memcheck counts in the same program.
AllocationCounts valgrind_workload(Arguments arguments) {
  arguments.insert(arguments.begin(), {"valgrind", "--log-fd=1", workload});
  TestChild child(arguments);
  child.release();
  const std::string log = child.read_to_end();
  EXPECT_EQ(child.wait(), 0) << "is valgrind installed? " << log;
  return valgrind_totals(log);
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

// Each thread's vector of pointers grows by 8 bytes a block.
AllocationCounts blocks_of_threads(std::uint64_t threads, std::uint64_t blocks) {
  return {.allocations = threads * blocks,
          .frees = threads * blocks,
          .bytes = threads * blocks * (24 + sizeof(void*))};
}

TEST(AllocationCounter, LosesNothingAmongThreads) {
  for (const auto& [threads, blocks] : {std::pair{1, 100'000}, {2, 50'000}, {16, 10'000}}) {
    const std::string count = std::to_string(threads);
    EXPECT_EQ(counted_workload({"threads", count, std::to_string(blocks)}) -
                  counted_workload({"threads", count, "0"}),
              blocks_of_threads(threads, blocks));
  }
}

TEST(AllocationCounter, LosesNothingAmongThreadsThatComeAndGo) {
  for (const char* mode : {"threads", "turns"}) {
    EXPECT_EQ(counted_workload({mode, "1000", "50"}) - counted_workload({mode, "1000", "0"}),
              blocks_of_threads(1000, 50))
        << mode;
  }
}

// Only then the library counts without atomic additions, however many threads a target starts.
TEST(AllocationCounter, GivesTheSlotOfAnEndedThreadToTheNext) {
  AllocationCounter counter(counter_library());
  TestChild child({workload, "turns", "1000", "50"}, counter.environment(), counter.fd());
  child.release();
  EXPECT_EQ(child.wait(), 0);
  void* const memory =
      mmap(nullptr, sizeof(AllocationPage), PROT_READ, MAP_SHARED, counter.fd(), 0);
  ASSERT_NE(memory, MAP_FAILED);
  const auto& slots = static_cast<const AllocationPage*>(memory)->slots;
  EXPECT_EQ(std::count_if(slots.begin(), slots.end(),
                          [](const auto& slot) { return slot.tally.phases[0].allocations != 0; }),
            2)
      << "the main thread's and the other's";
  munmap(memory, sizeof(AllocationPage));
}

TEST(AllocationCounter, LosesNothingAmongMoreThreadsThanSlots) {
  constexpr std::size_t threads = AllocationPage::slot_count + 100;
  const std::string count = std::to_string(threads);
  EXPECT_EQ(counted_workload({"crowd", count, "50"}) - counted_workload({"crowd", count, "0"}),
            blocks_of_threads(threads, 50));
}

TEST(AllocationCounter, CountsThreadsStartedAndTheirStacks) {
  EXPECT_EQ(counted_workload({"threads", "0", "1"}).threads_started, 0);
  EXPECT_EQ(counted_workload({"threads", "0", "1"}).stack_bytes_started, 0);

  pthread_attr_t defaults;
  std::size_t stack = 0;
  ASSERT_EQ(pthread_attr_init(&defaults), 0);
  ASSERT_EQ(pthread_attr_getstacksize(&defaults, &stack), 0);
  const AllocationCounts usual = counted_workload({"threads", "200", "1"});
  EXPECT_EQ(usual.threads_started, 200);
  EXPECT_EQ(usual.stack_bytes_started, 200 * stack);

  const AllocationCounts small = counted_workload({"crowd", "200", "1"});
  EXPECT_EQ(small.threads_started, 200);
  EXPECT_EQ(small.stack_bytes_started, 200 * 64 * 1024);
}

TEST(AllocationCounter, CountsForkedChildrenInSlotsOfTheirOwn) {
  const AllocationCounts short_run = counted_workload({"fork", "1"});
  const AllocationCounts long_run = counted_workload({"fork", "41"});
  EXPECT_EQ(long_run - short_run, (AllocationCounts{.allocations = 40 * (1 + 20'000 + 1),
                                                    .frees = 40 * 2 * (1 + 10'000),
                                                    .bytes = 40 * (50 + 20'000 * 33 + 100'000)}));
  EXPECT_EQ(long_run.heap_live_bytes, short_run.heap_live_bytes) << "it is the parent's only";
  const OnCpu one(0);  // where the peak is never too high
  EXPECT_EQ(counted_workload({"fork", "41"}).heap_peak_bytes,
            counted_workload({"fork", "1"}).heap_peak_bytes);
}

TEST(AllocationCounter, CountsTheLiveHeapAndItsPeak) {
  const OnCpu one(0);  // where the peak is never too high
  const AllocationCounts none = counted_workload({"peak", "0"});
  std::string output;
  const AllocationCounts some = counted_workload({"peak", "300"}, &output);
  std::istringstream words(output);
  std::uint64_t top = 0;
  std::uint64_t left = 0;
  ASSERT_TRUE(words >> top >> left) << output;
  EXPECT_GE(top, 300 / 7 * 211'050);
  const std::uint64_t vector = 300 * sizeof(void*) + 8;  // as glibc rounds it
  EXPECT_EQ(some.heap_live_bytes - none.heap_live_bytes, left + vector);
  EXPECT_NEAR(static_cast<double>(some.heap_peak_bytes),
              static_cast<double>(none.heap_live_bytes + top + vector),
              AllocationHeap::growth_told_from_bytes);
}

// As under valgrind, or in a container whose kernel is an emulation.
TEST(AllocationCounter, CountsTheHeapWithoutRestartableSequences) {
  const OnCpu one(0);  // where the peak is never too high
  const std::vector<std::string> none = {"GLIBC_TUNABLES=glibc.pthread.rseq=0"};
  std::string output;
  const AllocationCounts counts = counted({workload, "peak", "300"}, &output, none);
  std::istringstream words(output);
  std::uint64_t top = 0;
  ASSERT_TRUE(words >> top) << output;
  const AllocationCounts with = counted_workload({"peak", "300"});
  EXPECT_EQ(counts.allocations, with.allocations);
  EXPECT_EQ(counts.heap_live_bytes, with.heap_live_bytes);
  EXPECT_NEAR(static_cast<double>(counts.heap_peak_bytes),
              static_cast<double>(with.heap_peak_bytes), AllocationHeap::growth_told_from_bytes);
  EXPECT_GE(counts.heap_peak_bytes, top);
}

TEST(AllocationCounter, CountsTheHeapOfTheLastProgramOfItsProcess) {
  const OnCpu one(0);  // where the peak is never too high
  const AllocationCounts alone = counted_workload({"peak", "10"});
  // The shell's heap went with it, and its child's is another process's.
  const AllocationCounts through_a_shell =
      counted({"/bin/sh", "-c", "/bin/ls / > /dev/null; exec \"$0\" peak 10", workload});
  EXPECT_GT(through_a_shell.allocations, alone.allocations);
  EXPECT_EQ(through_a_shell.heap_live_bytes, alone.heap_live_bytes);
  EXPECT_EQ(through_a_shell.heap_peak_bytes, alone.heap_peak_bytes);
}

TEST(AllocationCounter, KnowsNoPhasesOfWhoMarksNone) {
  AllocationCounter counter(counter_library());
  TestChild child({workload, "heap", "10"}, counter.environment(), counter.fd());
  child.release();
  EXPECT_EQ(child.wait(), 0);
  EXPECT_FALSE(counter.marks_phases());
  const AllocationCounts counts = counter.read();
  EXPECT_EQ(counts.by_phase[0].allocations, counts.allocations);
  EXPECT_EQ(counts.by_phase[0].bytes, counts.bytes);
}

TEST(AllocationCounter, LeavesOutWhatThereWasNoMemoryFor) {
  std::string output;
  const AllocationCounts difference =
      counted_workload({"starved", "3"}, &output) - counted_workload({"starved", "0"});
  const std::uint64_t found = std::stoull(output);
  EXPECT_EQ(difference,
            (AllocationCounts{.allocations = found, .frees = found, .bytes = found * 1'000'000}));
}

TEST(AllocationCounter, CarriesOverWhatCameBeforeIt) {
  const AllocationCounts early =
      counted({cli::built("tests/allocation_workload_early"), "heap", "0"});
  EXPECT_EQ(early.bytes - counted_workload({"heap", "0"}).bytes, 1'000'003);
}

TEST(AllocationCounter, CountsAProgramThatIsNotOurs) {
  EXPECT_GT(counted({"/bin/sh", "-c", "exec /bin/ls /"}).allocations, 0);
}

TEST(AllocationCounter, KnowsTargetsItCannotCount) {
  EXPECT_TRUE(attaches_to(workload));
  EXPECT_FALSE(attaches_to(cli::built("tests/allocation_workload_static")));
  EXPECT_FALSE(attaches_to(cli::built("tests/own_malloc")));
  EXPECT_FALSE(attaches_to(workload, false)) << "without the descriptor";
}

TEST(AllocationCounter, LeavesAnotherFileAlone) {
  const std::string path = testing::TempDir() + "allocation_counter_test.file";
  const std::string text(4096, 'x');
  std::ofstream(path) << text;
  const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(file, 0);
  TestChild child({workload, "heap", "1"},
                  {"LD_PRELOAD=" + counter_library(), "SPAWNPOOL_ALLOC_FD=" + std::to_string(file)},
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
  TestChild child({workload, "heap", "3"}, {"LD_PRELOAD=" + counter_library()});
  child.release();
  EXPECT_EQ(child.wait(), 0);
}

std::vector<std::string> named_memory() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
    if (entry.path().filename().string().find(allocation_page_name) != std::string::npos) {
      names.push_back(entry.path());
    }
  }
  return names;
}

// The reader is a process of its own here, so that it can be killed, too.
TEST(AllocationCounter, LeavesNothingBehindWhoeverIsKilled) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(pipe2(pipe.data(), O_CLOEXEC), 0);
  const pid_t reader = fork();
  ASSERT_GE(reader, 0);
  if (reader == 0) {
    const AllocationCounter counter(counter_library());
    TestChild target({"/bin/cat"}, counter.environment(), counter.fd());
    target.release();
    const bool counted = target.ask("hello") == "hello\n" && counter.attached();
    const pid_t pid = counted ? target.pid() : -1;
    if (write(pipe[1], &pid, sizeof pid) == sizeof pid && counted) {
      pause();
    }
    _exit(0);
  }
  close(pipe[1]);  // so that reading ends when the reader does
  pid_t target = -1;
  EXPECT_EQ(read(pipe[0], &target, sizeof target), static_cast<ssize_t>(sizeof target));
  EXPECT_GT(target, 0) << "it was not counted";
  EXPECT_EQ(named_memory(), std::vector<std::string>{}) << "it has no name while it is in use";
  if (target > 0) {
    EXPECT_EQ(kill(target, SIGKILL), 0);
  }
  EXPECT_EQ(kill(reader, SIGKILL), 0);  // it may have ended: it is not reaped yet
  EXPECT_EQ(waitpid(reader, nullptr, 0), reader);
  EXPECT_EQ(named_memory(), std::vector<std::string>{});
  close(pipe[0]);
}

TEST(AllocationCounter, KeepsItsDescriptorFromOtherChildren) {
  const AllocationCounter counter(counter_library());
  EXPECT_EQ(fcntl(counter.fd(), F_GETFD), FD_CLOEXEC);
}

TEST(AllocationCounter, KeepsItsMemoryFromOtherUsers) {
  const AllocationCounter counter(counter_library());
  struct stat memory {};
  ASSERT_EQ(fstat(counter.fd(), &memory), 0);
  EXPECT_EQ(memory.st_mode & 07777, 0600);
}

TEST(AllocationCounter, RefusesALibraryItCannotPreload) {
  EXPECT_THROW(AllocationCounter("/nowhere/lib.so"), std::invalid_argument);
  EXPECT_THROW(AllocationCounter("/a path/lib.so"), std::invalid_argument);
  EXPECT_THROW(AllocationCounter("/a:path/lib.so"), std::invalid_argument);
}

}  // namespace
}  // namespace spawnpool::cost
