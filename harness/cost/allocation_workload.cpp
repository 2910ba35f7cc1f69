// Test fixture: a program whose heap allocations are known by construction.
//   allocation_workload heap N          N rounds of every kind of call, failing ones among them
//   allocation_workload pvalloc N       N calls (apart, because valgrind has no pvalloc)
//   allocation_workload threads T N     T threads allocate N blocks each, which the main thread
//   frees allocation_workload fork N          N children allocate and free one block each
// allocation_counter_test.cpp states what each round adds up to.
#include <malloc.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

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

struct Share {
  pthread_t thread{};
  std::vector<void*> blocks;
};

void* allocate_share(void* share) {
  for (void*& block : static_cast<Share*>(share)->blocks) {
    block = malloc(24);
  }
  return nullptr;
}

void allocate_in_threads(std::size_t threads, std::size_t blocks) {
  std::vector<Share> shares(threads);
  for (Share& share : shares) {
    share.blocks.reserve(1 + blocks);  // one allocation whatever the number
    share.blocks.resize(blocks);
    expect(pthread_create(&share.thread, nullptr, allocate_share, &share) == 0);
  }
  for (Share& share : shares) {
    expect(pthread_join(share.thread, nullptr) == 0);
    for (void* block : share.blocks) {
      free(block);
    }
  }
}

void allocate_in_child() {
  const pid_t child = fork();
  if (child == 0) {
    free(opaque(malloc(33)));
    _exit(0);
  }
  int status = -1;
  expect(waitpid(child, &status, 0) == child && status == 0);
}

}  // namespace

int main(int count, char** arguments) {
  const std::string_view mode = count > 2 ? arguments[1] : "";
  const std::size_t rounds = count > 2 ? strtoul(arguments[2], nullptr, 10) : 0;
  if (mode == "threads" && count == 4) {
    allocate_in_threads(rounds, strtoul(arguments[3], nullptr, 10));
    return 0;
  }
  if (mode != "heap" && mode != "pvalloc" && mode != "fork") {
    return 2;
  }
  for (std::size_t i = 0; i < rounds; ++i) {
    if (mode == "heap") {
      allocate_in_every_way();
    } else if (mode == "pvalloc") {
      free(opaque(pvalloc(40)));
    } else {
      allocate_in_child();
    }
  }
  return 0;
}
