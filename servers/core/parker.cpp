#include "servers/core/parker.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace spawnpool {
namespace {

// The futex call has no wrapper in glibc.
long futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value) {
  static_assert(sizeof(word) == sizeof(std::uint32_t));
  return syscall(SYS_futex, &word, operation, value, nullptr, nullptr, 0);
}

}  // namespace

void Parker::park() {
  while (permit_.exchange(0, std::memory_order_acquire) == 0) {
    futex(permit_, FUTEX_WAIT_PRIVATE, 0);
  }
}

void Parker::unpark() {
  permit_.store(1, std::memory_order_release);
  futex(permit_, FUTEX_WAKE_PRIVATE, 1);
}

}  // namespace spawnpool
