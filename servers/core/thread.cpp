#include "servers/core/thread.hpp"

#include <csignal>
#include <cstddef>

namespace spawnpool {
namespace {

// On purpose far below the usual 8 MiB: the deepest path, a folded header line inside Beast, needs
// about 12 KiB, so this leaves room for a handler. Only touched pages are resident; glibc keeps
// 40 MiB of ended stacks for the next threads, which is 160 of these.
constexpr std::size_t stack_size = 256 * 1024;

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

}  // namespace spawnpool
