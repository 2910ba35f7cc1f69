// libspawnpool_alloc.so: preloaded into a target (LD_PRELOAD), it counts the target's heap
// allocations and started threads into the page of allocation_page.hpp. Without a page it only
// passes the calls on.
//
// The calls go to glibc's own functions by their second names, __libc_malloc and its kin: looking
// malloc up with dlsym may itself allocate. operator new and the C library's own callers arrive
// here through malloc.
//
// What counts, and with how many bytes, is what valgrind memcheck's "total heap usage" says:
// calls that succeed; realloc of a block is one allocation of the new size and one free; realloc to
// nothing is a free; free(nullptr) is nothing; bytes are as asked for, alignment and rounding left
// out.

#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <threads.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>

#include "harness/cost/allocation_page.hpp"

#define SPAWNPOOL_EXPORT extern "C" __attribute__((visibility("default")))

// glibc's functions under names of our own.
void* libc_malloc(std::size_t size) noexcept __asm__("__libc_malloc");
void* libc_calloc(std::size_t count, std::size_t size) noexcept __asm__("__libc_calloc");
void* libc_realloc(void* block, std::size_t size) noexcept __asm__("__libc_realloc");
void* libc_memalign(std::size_t alignment, std::size_t size) noexcept __asm__("__libc_memalign");
void* libc_valloc(std::size_t size) noexcept __asm__("__libc_valloc");
void* libc_pvalloc(std::size_t size) noexcept __asm__("__libc_pvalloc");
void libc_free(void* block) noexcept __asm__("__libc_free");

namespace {

using spawnpool::cost::AllocationPage;

// Counts of the time before attach() has mapped the page: the loader and other libraries'
// constructors run earlier. Where there is no page they stay here, unread.
constinit AllocationPage early_page{};
constinit std::atomic<AllocationPage*> page{&early_page};

void add(std::atomic<std::uint64_t>& counter, std::uint64_t amount) {
  counter.fetch_add(amount, std::memory_order_relaxed);
}

void* allocated(void* block, std::size_t bytes) {
  if (block != nullptr) {
    AllocationPage& counts = *page.load(std::memory_order_acquire);
    add(counts.allocations, 1);
    add(counts.bytes, bytes);
  }
  return block;
}

void freed() {
  add(page.load(std::memory_order_acquire)->frees, 1);
}

void thread_started() {
  add(page.load(std::memory_order_acquire)->threads_started, 1);
}

// Whether malloc is the one of this library, and the next one glibc's. A target that brings an
// allocator of its own, linked in or as a library, would be counted in part only. It is tried,
// because addresses do not tell: a program not position-independent has a malloc of its own address
// that leads here all the same.
bool sees_every_call() {
  const std::uint64_t before = early_page.allocations.load(std::memory_order_relaxed);
  void* volatile probe = malloc(1);
  const bool seen = early_page.allocations.load(std::memory_order_relaxed) != before;
  free(probe);
  if (seen) {  // the probe is not the target's
    early_page.allocations.fetch_sub(1, std::memory_order_relaxed);
    early_page.bytes.fetch_sub(1, std::memory_order_relaxed);
    early_page.frees.fetch_sub(1, std::memory_order_relaxed);
  }
  return seen && dlsym(RTLD_NEXT, "malloc") == reinterpret_cast<void*>(&libc_malloc);
}

// The page behind the inherited descriptor; nullptr when there is none, and for any other file that
// has come to have its number.
AllocationPage* map_page() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): before main, and nobody changes the environment
  const char* text = getenv(spawnpool::cost::allocation_fd_variable);
  if (text == nullptr) {
    return nullptr;
  }
  const int fd = atoi(text);
  std::uint64_t magic = 0;
  if (pread(fd, &magic, sizeof magic, 0) != sizeof magic ||
      magic != AllocationPage::magic_and_version) {
    return nullptr;
  }
  void* memory = mmap(nullptr, sizeof(AllocationPage), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<AllocationPage*>(memory);
}

__attribute__((constructor)) void attach() {
  const int error = errno;
  AllocationPage* shared = sees_every_call() ? map_page() : nullptr;
  if (shared != nullptr) {
    page.store(shared, std::memory_order_release);
    add(shared->allocations, early_page.allocations.load(std::memory_order_relaxed));
    add(shared->frees, early_page.frees.load(std::memory_order_relaxed));
    add(shared->bytes, early_page.bytes.load(std::memory_order_relaxed));
    add(shared->threads_started, early_page.threads_started.load(std::memory_order_relaxed));
    shared->attached.fetch_add(1, std::memory_order_release);
  }
  errno = error;
}

bool power_of_two(std::size_t value) {
  return value != 0 && (value & (value - 1)) == 0;
}

}  // namespace

SPAWNPOOL_EXPORT void* malloc(std::size_t size) noexcept {
  return allocated(libc_malloc(size), size);
}

SPAWNPOOL_EXPORT void* calloc(std::size_t count, std::size_t size) noexcept {
  return allocated(libc_calloc(count, size), count * size);
}

SPAWNPOOL_EXPORT void* realloc(void* block, std::size_t size) noexcept {
  void* moved = allocated(libc_realloc(block, size), size);
  if (block != nullptr && (moved != nullptr || size == 0)) {
    freed();
  }
  return moved;
}

SPAWNPOOL_EXPORT void* reallocarray(void* block, std::size_t count, std::size_t size) noexcept {
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(count, size, &bytes)) {
    errno = ENOMEM;
    return nullptr;
  }
  return realloc(block, bytes);
}

SPAWNPOOL_EXPORT int posix_memalign(void** block, std::size_t alignment,
                                    std::size_t size) noexcept {
  if (!power_of_two(alignment) || alignment % sizeof(void*) != 0) {
    return EINVAL;
  }
  void* memory = allocated(libc_memalign(alignment, size), size);
  if (memory == nullptr) {
    return ENOMEM;
  }
  *block = memory;
  return 0;
}

SPAWNPOOL_EXPORT void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  return allocated(libc_memalign(alignment, size), size);
}

SPAWNPOOL_EXPORT void* memalign(std::size_t alignment, std::size_t size) noexcept {
  return allocated(libc_memalign(alignment, size), size);
}

SPAWNPOOL_EXPORT void* valloc(std::size_t size) noexcept {
  return allocated(libc_valloc(size), size);
}

SPAWNPOOL_EXPORT void* pvalloc(std::size_t size) noexcept {
  return allocated(libc_pvalloc(size), size);
}

SPAWNPOOL_EXPORT void free(void* block) noexcept {
  if (block != nullptr) {
    freed();
    libc_free(block);
  }
}

SPAWNPOOL_EXPORT int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                                    void* (*start)(void*), void* argument) noexcept {
  const auto next = reinterpret_cast<decltype(&pthread_create)>(dlsym(RTLD_NEXT, "pthread_create"));
  const int error = next(thread, attributes, start, argument);
  if (error == 0) {
    thread_started();
  }
  return error;
}

SPAWNPOOL_EXPORT int thrd_create(thrd_t* thread, thrd_start_t start, void* argument) {
  const auto next = reinterpret_cast<decltype(&thrd_create)>(dlsym(RTLD_NEXT, "thrd_create"));
  const int result = next(thread, start, argument);
  if (result == thrd_success) {
    thread_started();
  }
  return result;
}
