#include "harness/micro/heap_use.hpp"

#include <malloc.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>

namespace spawnpool::micro {
namespace {

// Without constructors to run: malloc is called before any.
constinit std::atomic<bool> counting{false};
constinit std::atomic<std::int64_t> allocations{0};
constinit std::atomic<std::int64_t> bytes_in_use{0};  // negative: older blocks were freed
constinit std::atomic<std::int64_t> max_bytes_in_use{0};

}  // namespace

void count_from_here() {
  allocations.store(0, std::memory_order_relaxed);
  bytes_in_use.store(0, std::memory_order_relaxed);
  max_bytes_in_use.store(0, std::memory_order_relaxed);
}

void count_to_here() {
  counting.store(false);
}

void note_allocation(void* block) noexcept {
  if (!counting.load(std::memory_order_relaxed) || block == nullptr) {
    return;
  }
  allocations.fetch_add(1, std::memory_order_relaxed);
  const auto size = static_cast<std::int64_t>(malloc_usable_size(block));
  const std::int64_t used = bytes_in_use.fetch_add(size, std::memory_order_relaxed) + size;
  std::int64_t seen = max_bytes_in_use.load(std::memory_order_relaxed);
  while (seen < used &&
         !max_bytes_in_use.compare_exchange_weak(seen, used, std::memory_order_relaxed)) {
  }
}

void note_free(void* block) noexcept {
  if (counting.load(std::memory_order_relaxed) && block != nullptr) {
    bytes_in_use.fetch_sub(static_cast<std::int64_t>(malloc_usable_size(block)),
                           std::memory_order_relaxed);
  }
}

bool counts_heap_use() {
  start_counting();
  void* volatile block = std::malloc(1);
  std::free(block);
  return stop_counting().allocations > 0;
}

void start_counting() {
  count_from_here();
  counting.store(true);
}

HeapUse stop_counting() {
  count_to_here();
  return {allocations.load(), max_bytes_in_use.load()};
}

}  // namespace spawnpool::micro
