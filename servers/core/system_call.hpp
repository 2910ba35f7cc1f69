// recv, send and sched_yield as the kernel has them.
//
// glibc's recv and send are cancellation points, which until 2.41 cost two atomic operations and
// some cache lines of the thread that are in use for nothing else: 1 % of a request where many
// threads take turns. No thread here is ever cancelled. A sanitizer sees only what goes through
// glibc, so a build with one, and one for another architecture, does.
#pragma once

#include <sched.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <cerrno>
#include <cstddef>

#if defined(__x86_64__) && !defined(SPAWNPOOL_SANITIZED)
#include <sys/syscall.h>
#endif

namespace spawnpool {

#if defined(__x86_64__) && !defined(SPAWNPOOL_SANITIZED)

// The result or, below 0, the negated errno.
[[gnu::always_inline]] inline long system_call(long number, long first, const void* second,
                                               std::size_t third, long fourth) {
  long result = 0;
  // Not const: a constant would not have to be in its register.
  register long r10 __asm__("r10") = fourth;
  register long r8 __asm__("r8") = 0;
  register long r9 __asm__("r9") = 0;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(first), "S"(second), "d"(third), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

[[gnu::always_inline]] inline ssize_t with_errno(long result) {
  if (result < 0) {
    errno = static_cast<int>(-result);
    return -1;
  }
  return result;
}

// As recv(2).
[[gnu::always_inline]] inline ssize_t receive_bytes(int fd, void* to, std::size_t size, int flags) {
  return with_errno(system_call(SYS_recvfrom, fd, to, size, flags));
}

// As send(2).
[[gnu::always_inline]] inline ssize_t send_bytes(int fd, const void* from, std::size_t size,
                                                 int flags) {
  return with_errno(system_call(SYS_sendto, fd, from, size, flags));
}

// As sched_yield(2).
[[gnu::always_inline]] inline void yield_cpu() {
  system_call(SYS_sched_yield, 0, nullptr, 0, 0);
}

#else

inline ssize_t receive_bytes(int fd, void* to, std::size_t size, int flags) {
  return recv(fd, to, size, flags);
}

inline ssize_t send_bytes(int fd, const void* from, std::size_t size, int flags) {
  return send(fd, from, size, flags);
}

inline void yield_cpu() {
  sched_yield();
}

#endif

}  // namespace spawnpool
