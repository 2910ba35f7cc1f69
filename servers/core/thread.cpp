#include "servers/core/thread.hpp"

#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstddef>

namespace spawnpool {
namespace {

// On purpose far below the usual 8 MiB: the deepest path, a folded header line inside Beast, needs
// about 12 KiB, so this leaves room for a handler. Only touched pages are resident; glibc keeps
// 40 MiB of ended stacks for the next threads, which is 640 of these.
constexpr std::size_t stack_size = 64 * 1024;

}  // namespace

ServingThreadAttributes::ServingThreadAttributes() {
  sigset_t all;
  sigfillset(&all);
  pthread_attr_init(&attributes_);
  pthread_attr_setstacksize(&attributes_, stack_size);
  pthread_attr_setsigmask_np(&attributes_, &all);
}

ServingThreadAttributes::~ServingThreadAttributes() {
  pthread_attr_destroy(&attributes_);
}

void leave_restartable_sequences() {
  constexpr int unregister = 1;           // RSEQ_FLAG_UNREGISTER of <linux/rseq.h>
  constexpr unsigned original_size = 32;  // what glibc registers at least, whatever of it is in use
  char* const area = static_cast<char*>(__builtin_thread_pointer()) + __rseq_offset;
  if (__rseq_size != 0) {
    syscall(SYS_rseq, area, std::max(__rseq_size, original_size), unregister, RSEQ_SIG);
  }
}

}  // namespace spawnpool
