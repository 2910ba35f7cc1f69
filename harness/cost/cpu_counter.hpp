// A counter in parts, one for each CPU. Code adds to the part of the CPU that it runs on, without
// an atomic instruction and without a cache line that goes from core to core.
//
// It is right because the addition is a restartable sequence: when the kernel takes the thread off
// its CPU, or gives it a signal, between looking up the CPU's number and adding, the thread begins
// again (rseq(2), since Linux 4.18; glibc registers every thread since 2.35). The method is that of
// M. Desnoyers' librseq.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#if defined(__x86_64__)
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace spawnpool::cost {

struct alignas(64) CpuPart {
  std::atomic<std::int64_t> value;
  std::atomic<std::int64_t> slack;  // how much less than the lower bound it may be
};

// Changed by the functions below alone, but for the slack, which is their caller's; anybody may
// read it. The counter's value is the sum of its parts and of what was taken out of them, exact
// while nobody adds. One part may well be negative.
using CpuCounter = std::array<CpuPart, 1024>;

struct CpuChange {
  // Of the CPU that the thread ran on. None, and nothing changed, where there is no such part or no
  // restartable sequence: in a kernel or under an emulator (valgrind) that has none, with
  // GLIBC_TUNABLES=glibc.pthread.rseq=0, on another architecture.
  CpuPart* part = nullptr;
  // The part's value, when the change brought it to a bound: it is 0 now, and the caller has it.
  std::int64_t taken = 0;
};

#if defined(__x86_64__)

// The assembler's text of a sequence that ends with `steps` and the one instruction that writes: it
// stores %[left]. %[at] is the offset of the CPU's part in the counter; afterwards -1 when there is
// none. The kernel has the sequence described in __rseq_cs: from 1 to 2, and to be taken up at 4,
// before which it wants the signature (with bytes before it that make it an instruction for a
// disassembler). A thread that is not registered has a CPU's number that is larger than any.
#define SPAWNPOOL_RESTARTABLE(steps)           \
  ".pushsection __rseq_cs, \"aw\"\n"           \
  ".balign 32\n"                               \
  "3: .long 0, 0\n"                            \
  ".quad 1f, 2f - 1f, 4f\n"                    \
  ".popsection\n"                              \
  ".pushsection __rseq_failure, \"ax\"\n"      \
  ".byte 0x0f, 0xb9, 0x3d\n"                   \
  ".long %c[signature]\n"                      \
  "4: jmp 0f\n"                                \
  "5: movq $-1, %[at]\n"                       \
  "jmp 2f\n"                                   \
  ".popsection\n"                              \
  "0: leaq 3b(%%rip), %[at]\n"                 \
  "movq %[at], %%fs:%c[descriptor](%[rseq])\n" \
  "1: movl %%fs:%c[cpu](%[rseq]), %k[at]\n"    \
  "cmpl %[cpus], %k[at]\n"                     \
  "jae 5b\n"                                   \
  "shlq $6, %[at]\n" steps                     \
  "movq %[left], (%[parts],%[at])\n"           \
  "2:\n"
#define SPAWNPOOL_RESTARTABLE_OUTPUTS [at] "=&r"(at), [value] "=&r"(value), [left] "=&r"(left)
#define SPAWNPOOL_RESTARTABLE_INPUTS(counter)                               \
  [rseq] "r"(__rseq_offset), [parts] "r"((counter).data()),                 \
      [cpus] "i"(std::tuple_size_v<CpuCounter>), [signature] "i"(RSEQ_SIG), \
      [descriptor] "i"(offsetof(struct rseq, rseq_cs)), [cpu] "i"(offsetof(struct rseq, cpu_id))

inline CpuChange cpu_change(CpuCounter& counter, std::int64_t at, std::int64_t taken) {
  static_assert(sizeof(CpuPart) == 64 && offsetof(CpuPart, slack) == 8, "as the sequences have it");
  constexpr int shift = 6;
  return at < 0 ? CpuChange{} : CpuChange{&counter[static_cast<std::size_t>(at >> shift)], taken};
}

// Adds to this CPU's part, which is taken when that makes it `bound` or more.
template <std::int32_t bound>
[[gnu::always_inline]] inline CpuChange add_on_this_cpu(CpuCounter& counter, std::int64_t amount) {
  std::int64_t at, value, left;
  __asm__ volatile(SPAWNPOOL_RESTARTABLE("movq (%[parts],%[at]), %[value]\n"
                                         "addq %[amount], %[value]\n"
                                         "movq %[value], %[left]\n"
                                         "cmpq %[bound], %[value]\n"
                                         "cmovgeq %[zero], %[left]\n")
                   : SPAWNPOOL_RESTARTABLE_OUTPUTS
                   : [amount] "r"(amount), [bound] "i"(bound), [zero] "r"(std::int64_t{0}),
                     SPAWNPOOL_RESTARTABLE_INPUTS(counter)
                   : "memory", "cc");
  return cpu_change(counter, at, value - left);
}

// Subtracts from this CPU's part, which is taken when that makes it `bound` or less, by its slack.
template <std::int32_t bound>
[[gnu::always_inline]] inline CpuChange subtract_on_this_cpu(CpuCounter& counter,
                                                             std::int64_t amount) {
  std::int64_t at, value, left;
  __asm__ volatile(SPAWNPOOL_RESTARTABLE("movq (%[parts],%[at]), %[value]\n"
                                         "subq %[amount], %[value]\n"
                                         "movq 8(%[parts],%[at]), %[left]\n"
                                         "addq %[value], %[left]\n"
                                         "cmpq %[bound], %[left]\n"
                                         "movq %[value], %[left]\n"
                                         "cmovleq %[zero], %[left]\n")
                   : SPAWNPOOL_RESTARTABLE_OUTPUTS
                   : [amount] "r"(amount), [bound] "i"(bound), [zero] "r"(std::int64_t{0}),
                     SPAWNPOOL_RESTARTABLE_INPUTS(counter)
                   : "memory", "cc");
  return cpu_change(counter, at, value - left);
}

// Gives the calling thread back what glibc registered for it and it has left, if it has. Nothing
// changes where the kernel refuses.
inline void return_to_restartable_sequences() {
  constexpr unsigned original_size = 32;  // what glibc registers at least, whatever of it is in use
  auto* const area = reinterpret_cast<struct rseq*>(static_cast<char*>(__builtin_thread_pointer()) +
                                                    __rseq_offset);
  if (static_cast<std::int32_t>(area->cpu_id) == RSEQ_CPU_ID_UNINITIALIZED && __rseq_size != 0) {
    syscall(SYS_rseq, area, std::max(__rseq_size, original_size), 0, RSEQ_SIG);
  }
}

#undef SPAWNPOOL_RESTARTABLE
#undef SPAWNPOOL_RESTARTABLE_OUTPUTS
#undef SPAWNPOOL_RESTARTABLE_INPUTS

#else

template <std::int32_t bound>
CpuChange add_on_this_cpu(CpuCounter& /*counter*/, std::int64_t /*amount*/) {
  return {};
}

template <std::int32_t bound>
CpuChange subtract_on_this_cpu(CpuCounter& /*counter*/, std::int64_t /*amount*/) {
  return {};
}

inline void return_to_restartable_sequences() {}

#endif

}  // namespace spawnpool::cost
