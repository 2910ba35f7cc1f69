#include "servers/core/thread.hpp"

#include <gtest/gtest.h>
#include <sys/rseq.h>

#include <thread>

namespace spawnpool {
namespace {

TEST(Thread, LeavesRestartableSequencesOnce) {
  if (__rseq_size == 0) {
    GTEST_SKIP() << "neither kernel nor C library offers them";
  }
  std::thread([] {
    const auto* const area = reinterpret_cast<volatile struct rseq*>(
        static_cast<char*>(__builtin_thread_pointer()) + __rseq_offset);
    EXPECT_GE(static_cast<std::int32_t>(area->cpu_id), 0);
    leave_restartable_sequences();
    EXPECT_EQ(static_cast<std::int32_t>(area->cpu_id), RSEQ_CPU_ID_UNINITIALIZED);
    leave_restartable_sequences();  // has nothing to do
  }).join();
}

}  // namespace
}  // namespace spawnpool
