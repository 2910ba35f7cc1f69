// For tests: a thread on one CPU, and whether threads can count by CPU.
#pragma once

#include <sched.h>

#include <cstddef>

#if defined(__x86_64__)
#include <sys/rseq.h>
#endif

namespace spawnpool::cost {

// By what glibc says, not by what the code under test makes of it.
inline bool has_restartable_sequences() {
#if defined(__x86_64__)
  return __rseq_size != 0;
#else
  return false;
#endif
}

// Has the calling thread, and what it starts meanwhile, run on the CPU of this number among those
// that it may use, for as long as this lives.
class OnCpu {
 public:
  explicit OnCpu(int number) {
    there_ = sched_getaffinity(0, sizeof before_, &before_) == 0;
    cpu_set_t one;
    CPU_ZERO(&one);
    for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &before_) && number-- == 0) {
        CPU_SET(cpu, &one);
        cpu_ = cpu;
      }
    }
    there_ = there_ && sched_setaffinity(0, sizeof one, &one) == 0;
  }
  ~OnCpu() { sched_setaffinity(0, sizeof before_, &before_); }
  OnCpu(const OnCpu&) = delete;
  OnCpu& operator=(const OnCpu&) = delete;

  [[nodiscard]] bool there() const { return there_; }  // false: there are fewer CPUs
  [[nodiscard]] std::size_t cpu() const { return cpu_; }

 private:
  cpu_set_t before_{};
  std::size_t cpu_ = 0;
  bool there_ = false;
};

}  // namespace spawnpool::cost
