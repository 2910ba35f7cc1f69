// Puts one thread to sleep until another wakes it.
#pragma once

#include <atomic>
#include <cstdint>

namespace spawnpool {

// A futex: one thread parks, others unpark it; an unpark() before the park() is not lost. Unlike
// std::atomic::wait it does not spin with sched_yield first, which on a busy core costs more system
// calls than the wait itself.
class Parker {
 public:
  void park();    // returns once after each unpark()
  void unpark();  // wakes the parked thread; at most one unpark per park

 private:
  std::atomic<std::uint32_t> permit_{0};
};

}  // namespace spawnpool
