// Test fixture: a program whose heap allocations are known by construction.
//   allocation_workload heap N          N rounds of every kind of call, failing ones among them
//   allocation_workload pvalloc N       N calls (apart, because valgrind has no pvalloc)
//   allocation_workload threads T N     T threads allocate N blocks each, which the main thread
//                                       frees
//   allocation_workload turns T N       the same, each thread ended before the next one starts
//   allocation_workload crowd T N       the same, all threads alive until all have allocated, with
//                                       stacks of 64 KiB
//   allocation_workload fork N          N children allocate beside their parent
//   allocation_workload peak N          N blocks of several sizes, of which all but every tenth are
//                                       freed; says on standard output how many usable bytes they
//                                       had, and how many are left
//   allocation_workload starved N       N times as many blocks as the address space has room for;
//                                       says how many
// allocation_counter_test.cpp states what each round adds up to.
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <string_view>
#include <vector>

namespace {

constexpr int failed = 3;

// Hides a value from the optimiser, which else removes pairs of malloc and free and knows what
// fails.
template <typename T>
T opaque(T value) {
  __asm__ volatile("" : "+r"(value) : : "memory");
  return value;
}

void expect(bool holds) {
  if (!holds) {
    _exit(failed);
  }
}

void allocate_in_every_way() {
  const auto too_much = opaque(SIZE_MAX - 4096);

  free(opaque(malloc(100)));
  free(opaque(calloc(3, 50)));
  free(opaque(malloc(opaque(std::size_t{0}))));
  free(opaque(static_cast<void*>(nullptr)));

  void* block = opaque(realloc(opaque(static_cast<void*>(nullptr)), 10));
  block = opaque(realloc(block, 1000));
  block = opaque(realloc(block, 20));
  expect(opaque(realloc(block, too_much)) == nullptr);
  // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the call before failed and left the block
  expect(opaque(realloc(block, opaque(std::size_t{0}))) == nullptr);  // frees it

  block = opaque(reallocarray(nullptr, 4, 25));
  expect(opaque(reallocarray(block, too_much, 2)) == nullptr);
  free(opaque(reallocarray(block, 8, 25)));

  expect(posix_memalign(&block, 64, 200) == 0);
  free(opaque(block));
  expect(posix_memalign(&block, opaque(std::size_t{3}), 200) != 0);
  free(opaque(aligned_alloc(128, 256)));
  free(opaque(memalign(32, 70)));
  free(opaque(valloc(30)));  // NOLINT(concurrency-mt-unsafe): it is safe in glibc
  expect(opaque(malloc(too_much)) == nullptr);
  expect(opaque(calloc(too_much, 2)) == nullptr);

  struct alignas(64) Wide {
    char bytes[64];
  };
  delete opaque(new std::uint64_t);
  delete[] opaque(new char[77]);
  delete opaque(new Wide);
}

// Writes numbers and a line's end, without an allocation.
void say(std::initializer_list<std::size_t> numbers) {
  std::array<char, 128> text{};
  char* end = text.data();
  for (const std::size_t number : numbers) {
    end = std::to_chars(end, text.data() + text.size() - 1, number).ptr;
    *end++ = number == *(numbers.end() - 1) ? '\n' : ' ';
  }
  expect(write(STDOUT_FILENO, text.data(), static_cast<std::size_t>(end - text.data())) > 0);
}

enum class Together { as_it_comes, in_turns, all_at_once };

struct Share {
  pthread_t thread{};
  pthread_barrier_t* all_there = nullptr;  // or nobody waits for the others
  std::vector<void*> blocks;
};

void* allocate_share(void* argument) {
  Share& share = *static_cast<Share*>(argument);
  for (void*& block : share.blocks) {
    block = malloc(24);
  }
  if (share.all_there != nullptr) {
    pthread_barrier_wait(share.all_there);
  }
  return nullptr;
}

void allocate_in_threads(std::size_t threads, std::size_t blocks, Together together) {
  pthread_attr_t small_stacks;
  expect(pthread_attr_init(&small_stacks) == 0 &&
         pthread_attr_setstacksize(&small_stacks, std::size_t{64} * 1024) == 0);
  pthread_barrier_t all_there;
  expect(pthread_barrier_init(&all_there, nullptr, static_cast<unsigned>(threads + 1)) == 0);
  const bool all_at_once = together == Together::all_at_once;
  std::vector<Share> shares(threads);
  for (Share& share : shares) {
    share.blocks.reserve(1 + blocks);  // one allocation whatever the number
    share.blocks.resize(blocks);
    share.all_there = all_at_once ? &all_there : nullptr;
    expect(pthread_create(&share.thread, all_at_once ? &small_stacks : nullptr, allocate_share,
                          &share) == 0);
    if (together == Together::in_turns) {
      expect(pthread_join(share.thread, nullptr) == 0);
    }
  }
  if (all_at_once) {
    pthread_barrier_wait(&all_there);
  }
  for (Share& share : shares) {
    expect(together == Together::in_turns || pthread_join(share.thread, nullptr) == 0);
    for (void* block : share.blocks) {
      free(block);
    }
  }
}

// Parent and child allocate at the same time. Both free a block that was there before, and the
// child keeps one.
void allocate_beside_child(bool with_handlers) {
  void* const shared = mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  expect(shared != MAP_FAILED);
  auto& arrived = *new (shared) std::atomic<int>{0};
  void* const inherited = opaque(malloc(50));
  const pid_t child = with_handlers ? fork() : _Fork();
  ++arrived;
  while (arrived != 2) {
    sched_yield();
  }
  for (int i = 0; i < 10'000; ++i) {
    free(opaque(malloc(33)));
  }
  free(inherited);
  if (child == 0) {
    opaque(malloc(100'000));
    _exit(0);
  }
  int status = -1;
  expect(waitpid(child, &status, 0) == child && status == 0);
  munmap(shared, sizeof(std::atomic<int>));
}

void allocate_to_a_peak(std::size_t count) {
  // The last is mapped by itself.
  constexpr std::array<std::size_t, 7> sizes = {0, 1, 24, 25, 1000, 10'000, 200'000};
  std::vector<void*> blocks(count);
  std::size_t top = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t size = sizes[i % sizes.size()];
    blocks[i] = i % 3 == 0 ? aligned_alloc(256, size) : malloc(size);
    expect(opaque(blocks[i]) != nullptr);
    top += malloc_usable_size(blocks[i]);
  }
  std::size_t left = top;
  for (std::size_t i = 0; i < count; ++i) {
    if (i % 10 != 0) {
      left -= malloc_usable_size(blocks[i]);
      free(blocks[i]);
    }
  }
  say({top, left});
  _exit(0);  // with those left, and the vector
}

// Blocks large enough to have a mapping each, so that what is freed is room again.
std::size_t allocate_all_there_is() {
  constexpr std::size_t size = 1'000'000;
  std::array<void*, 1000> blocks{};
  std::size_t count = 0;
  while (count < blocks.size() && (blocks[count] = opaque(malloc(size))) != nullptr) {
    ++count;
  }
  expect(count > 0 && count < blocks.size());
  expect(opaque(calloc(1, size)) == nullptr);
  expect(opaque(realloc(blocks[0], 2 * size)) == nullptr);
  expect(opaque(aligned_alloc(64, size)) == nullptr);
  std::for_each_n(blocks.begin(), count, free);
  return count;
}

}  // namespace

int main(int count, char** arguments) {
  const std::string_view mode = count > 2 ? arguments[1] : "";
  const std::size_t rounds = count > 2 ? strtoul(arguments[2], nullptr, 10) : 0;
  const std::size_t blocks = count > 3 ? strtoul(arguments[3], nullptr, 10) : 0;
  if (mode == "threads") {
    allocate_in_threads(rounds, blocks, Together::as_it_comes);
  } else if (mode == "turns") {
    allocate_in_threads(rounds, blocks, Together::in_turns);
  } else if (mode == "crowd") {
    allocate_in_threads(rounds, blocks, Together::all_at_once);
  } else if (mode == "heap") {
    for (std::size_t i = 0; i < rounds; ++i) {
      allocate_in_every_way();
    }
  } else if (mode == "pvalloc") {
    for (std::size_t i = 0; i < rounds; ++i) {
      free(opaque(pvalloc(40)));
    }
  } else if (mode == "fork") {
    for (std::size_t i = 0; i < rounds; ++i) {
      allocate_beside_child(i % 2 == 0);
    }
  } else if (mode == "peak") {
    allocate_to_a_peak(rounds);
  } else if (mode == "starved") {
    const rlimit limit{.rlim_cur = 64'000'000, .rlim_max = 64'000'000};
    expect(setrlimit(RLIMIT_AS, &limit) == 0);
    std::size_t found = 0;
    for (std::size_t i = 0; i < rounds; ++i) {
      found += allocate_all_there_is();
    }
    say({found});
  } else {
    return 2;
  }
  return 0;
}
