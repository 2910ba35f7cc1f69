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

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <utility>

#include "harness/cost/allocation_page.hpp"
#include "harness/cost/allocation_slots.hpp"

#define SPAWNPOOL_EXPORT extern "C" __attribute__((visibility("default")))

// glibc's functions under names of our own.
void* libc_malloc(std::size_t size) noexcept __asm__("__libc_malloc");
void* libc_calloc(std::size_t count, std::size_t size) noexcept __asm__("__libc_calloc");
void* libc_realloc(void* block, std::size_t size) noexcept __asm__("__libc_realloc");
void* libc_memalign(std::size_t alignment, std::size_t size) noexcept __asm__("__libc_memalign");
void* libc_valloc(std::size_t size) noexcept __asm__("__libc_valloc");
void* libc_pvalloc(std::size_t size) noexcept __asm__("__libc_pvalloc");
void libc_free(void* block) noexcept __asm__("__libc_free");

// Of the target, when it marks its phases: see phases.hpp. Found by the loader; dlsym would
// allocate the message that there is none.
extern "C" [[gnu::weak]] volatile std::uint32_t* spawnpool_phase() noexcept;

namespace {

using namespace spawnpool::cost;

// What the calling thread counts into. In the thread's static block of storage (-ftls-model of this
// library): a dynamic one would be allocated on the way.
struct Thread {
  AllocationSlot* own;                  // its slot, nullptr: none yet, or none any more
  const volatile std::uint32_t* phase;  // what it is doing; valid with a slot
  bool shares;                          // it is to have no slot: none is free, or it is to end
};
constinit thread_local Thread self{};
constinit thread_local Thread before_fork{};

// Counts of the time before attach() has mapped the page: the loader and other libraries'
// constructors run earlier.
constinit AllocationTally early{};
constinit AllocationHeap early_heap{};

// What threads without a slot count into; nullptr when nothing is counted.
constinit std::atomic<AllocationTally*> common{&early};

// The heap of this process; nullptr when it is not counted.
constinit std::atomic<AllocationHeap*> heap{&early_heap};

// Set once, by attach().
constinit std::atomic<AllocationPage*> page{nullptr};
constinit pthread_key_t end_of_thread{};
constinit std::uint32_t image = 0;  // this process's number in the page

const volatile std::uint32_t* phase_word() {
  static constexpr std::uint32_t unmarked = 0;
  return spawnpool_phase != nullptr ? spawnpool_phase() : &unmarked;
}

// The calling thread's slot; nullptr when it has none.
[[gnu::cold, gnu::noinline]] AllocationSlot* claim() {
  AllocationPage* const shared = page.load(std::memory_order_acquire);
  if (shared == nullptr || self.shares) {
    return nullptr;
  }
  // Our servers' threads have left them, since every switch to a thread takes longer with them.
  const int error = errno;
  return_to_restartable_sequences();
  errno = error;
  self.phase = phase_word();
  self.own = claim_slot(*shared, image);
  self.shares = self.own == nullptr;
  if (self.own != nullptr) {
    // Any value but nullptr has release() called. It may allocate, which counts into the new slot.
    pthread_setspecific(end_of_thread, &early);
  }
  return self.own;
}

// At the end of a thread. Other libraries' ends of threads, and the C library's, may come later.
void release(void* /*any*/) {
  if (AllocationSlot* const own = std::exchange(self.own, nullptr)) {
    self.shares = true;
    release_slot(*own);
  }
}

template <class CountAlone, class CountAmongMany>
[[gnu::cold, gnu::noinline]] void count_without_slot(CountAlone count_alone,
                                                     CountAmongMany count_among_many) {
  if (AllocationSlot* const own = claim()) {
    count_alone(*own);
  } else {
    count_among_many(*common.load(std::memory_order_acquire));
  }
}

// Calls count_alone(slot) when the thread has a slot, else count_among_many(common) when anything
// is counted.
template <class CountAlone, class CountAmongMany>
[[gnu::always_inline]] inline void count(CountAlone count_alone, CountAmongMany count_among_many) {
  if (AllocationSlot* const own = self.own) [[likely]] {
    count_alone(*own);
  } else if (common.load(std::memory_order_relaxed) != nullptr) {
    count_without_slot(count_alone, count_among_many);
  }
}

// What malloc_usable_size says of a block of glibc's, read as it does: before each block lie its
// size with these 8 bytes, and three flags in the lowest bits. The call itself would be half of
// what counting costs (2.7 ns of 5.4 for a malloc and a free, by spawnpool-alloc-bench), since it
// looks at the next block, too.
[[gnu::always_inline]] inline std::int64_t usable_bytes(const void* block) {
  constexpr std::size_t flags = 7;
  constexpr std::size_t mapped_alone = 2;  // has another 8 bytes before, which are not used then
  const std::size_t word = static_cast<const std::size_t*>(block)[-1];
  const std::size_t other_bytes = (word & mapped_alone) * (sizeof word / mapped_alone);
  return static_cast<std::int64_t>((word & ~flags) - sizeof word - other_bytes);
}

[[gnu::always_inline]] inline void* allocated(void* block, std::size_t bytes) {
  if (block != nullptr) {
    count(
        [=](AllocationSlot& own) { count_allocation<AddAlone>(own.tally, *self.phase, bytes); },
        [=](AllocationTally& many) { count_allocation<AddAmongMany>(many, *phase_word(), bytes); });
    if (AllocationHeap* const own_heap = heap.load(std::memory_order_relaxed)) {
      grow_heap(*own_heap, usable_bytes(block));
    }
  }
  return block;
}

[[gnu::always_inline]] inline void freed(std::int64_t usable) {
  count([](AllocationSlot& own) { count_free<AddAlone>(own.tally); },
        [](AllocationTally& many) { count_free<AddAmongMany>(many); });
  if (AllocationHeap* const own_heap = heap.load(std::memory_order_relaxed)) {
    shrink_heap(*own_heap, usable);
  }
}

void thread_started(const pthread_attr_t* attributes) {
  std::size_t stack = 0;
  pthread_attr_t defaults;
  if (attributes == nullptr && pthread_attr_init(&defaults) == 0) {
    pthread_attr_getstacksize(&defaults, &stack);
    pthread_attr_destroy(&defaults);
  } else if (attributes != nullptr) {
    pthread_attr_getstacksize(attributes, &stack);
  }
  count([=](AllocationSlot& own) { count_thread<AddAlone>(own.tally, stack); },
        [=](AllocationTally& many) { count_thread<AddAmongMany>(many, stack); });
}

// Whether malloc is the one of this library, and the next one glibc's. A target that brings an
// allocator of its own, linked in or as a library, would be counted in part only. It is tried,
// because addresses do not tell: a program not position-independent has a malloc of its own address
// that leads here all the same.
bool sees_every_call() {
  PhaseTally& counts = early.phases[0];
  const std::uint64_t before = counts.allocations.load(std::memory_order_relaxed);
  void* volatile probe = malloc(1);
  const bool seen = counts.allocations.load(std::memory_order_relaxed) != before;
  free(probe);
  if (seen) {  // the probe is not the target's
    counts.allocations.fetch_sub(1, std::memory_order_relaxed);
    counts.bytes.fetch_sub(1, std::memory_order_relaxed);
    early.frees.fetch_sub(1, std::memory_order_relaxed);
  }
  return seen && dlsym(RTLD_NEXT, "malloc") == reinterpret_cast<void*>(&libc_malloc);
}

// The page behind the inherited descriptor; nullptr when there is none, and for any other file that
// has come to have its number.
AllocationPage* map_page() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): before main, and nobody changes the environment
  const char* text = getenv(allocation_fd_variable);
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

// Whether this is the target's first process, at its start or after an exec, and so the one whose
// heap is counted. What its last image had on the heap is gone.
bool take_heap(AllocationPage& shared) {
  const std::int32_t process = getpid();
  std::int32_t first = 0;
  if (!shared.heap_process.compare_exchange_strong(first, process) && first != process) {
    return false;
  }
  clear_heap(shared.heap);
  return true;
}

// A thread that another library's constructor has started may count into `early` until now. What it
// is just about to add there is lost.
void carry_over_early(AllocationTally& into) {
  const auto move = [](auto& from, auto& to) { to.fetch_add(from.load()); };
  move(early.phases[0].allocations, into.phases[0].allocations);
  move(early.phases[0].bytes, into.phases[0].bytes);
  move(early.frees, into.frees);
  move(early.threads_started, into.threads_started);
  move(early.stack_bytes_started, into.stack_bytes_started);
}

void carry_over_early_heap(AllocationHeap& into) {
  const std::int64_t live = live_bytes(early_heap);
  const std::int64_t peak = std::max(early_heap.peak.load(), live);
  tell_heap(into, peak);  // which came before what is live now
  tell_heap(into, live - peak);
}

// A forked child has a copy of the thread that called fork, with its slot: that stays the parent's.
// From before to after the fork either counts among many, so that it does not matter in which order
// other handlers run.
void prepare_fork() {
  before_fork = self;
  self = {.own = nullptr, .phase = nullptr, .shares = true};
}

void forked_in_parent() {
  self = before_fork;
}

void forked_in_child() {
  heap.store(nullptr, std::memory_order_relaxed);
  image = page.load(std::memory_order_relaxed)->images.fetch_add(1) + 1;
  self = {};
}

__attribute__((constructor)) void attach() {
  const int error = errno;
  AllocationPage* const shared = sees_every_call() ? map_page() : nullptr;
  if (shared == nullptr || pthread_key_create(&end_of_thread, release) != 0 ||
      pthread_atfork(prepare_fork, forked_in_parent, forked_in_child) != 0) {
    heap.store(nullptr, std::memory_order_relaxed);
    common.store(nullptr, std::memory_order_release);
  } else {
    image = shared->images.fetch_add(1) + 1;
    common.store(&shared->common, std::memory_order_release);
    carry_over_early(shared->common);
    if (take_heap(*shared)) {
      heap.store(&shared->heap, std::memory_order_release);
      carry_over_early_heap(shared->heap);
    } else {
      heap.store(nullptr, std::memory_order_relaxed);
    }
    page.store(shared, std::memory_order_release);
    shared->marking.fetch_add(spawnpool_phase != nullptr ? 1 : 0);
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
  const std::int64_t usable = block != nullptr ? usable_bytes(block) : 0;
  void* moved = libc_realloc(block, size);
  // The old block first: the two are no peak of the heap.
  if (block != nullptr && (moved != nullptr || size == 0)) {
    freed(usable);
  }
  return allocated(moved, size);
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
    freed(usable_bytes(block));
    libc_free(block);
  }
}

SPAWNPOOL_EXPORT int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                                    void* (*start)(void*), void* argument) noexcept {
  const auto next = reinterpret_cast<decltype(&pthread_create)>(dlsym(RTLD_NEXT, "pthread_create"));
  const int error = next(thread, attributes, start, argument);
  if (error == 0) {
    thread_started(attributes);
  }
  return error;
}

SPAWNPOOL_EXPORT int thrd_create(thrd_t* thread, thrd_start_t start, void* argument) {
  const auto next = reinterpret_cast<decltype(&thrd_create)>(dlsym(RTLD_NEXT, "thrd_create"));
  const int result = next(thread, start, argument);
  if (result == thrd_success) {
    thread_started(nullptr);
  }
  return result;
}

// Like fork, but without the handlers of pthread_atfork.
SPAWNPOOL_EXPORT pid_t _Fork() noexcept {
  const auto next = reinterpret_cast<decltype(&_Fork)>(dlsym(RTLD_NEXT, "_Fork"));
  if (page.load(std::memory_order_relaxed) == nullptr) {
    return next();
  }
  prepare_fork();
  const pid_t child = next();
  child == 0 ? forked_in_child() : forked_in_parent();
  return child;
}
