#include "servers/core/parker.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace spawnpool {
namespace {

TEST(Parker, KeepsAWakeUpThatCameFirst) {
  Parker parker;
  parker.unpark();
  parker.park();  // hangs if it was lost
}

TEST(Parker, WakesOncePerUnparkAndCarriesWhatWasWrittenBefore) {
  constexpr int rounds = 20'000;
  Parker ping;
  Parker pong;
  int value = 0;  // guarded by the parkers alone: the thread sanitizer watches
  std::thread other([&] {
    for (int i = 0; i < rounds; ++i) {
      ping.park();
      ++value;
      pong.unpark();
    }
  });
  for (int i = 0; i < rounds; ++i) {
    ASSERT_EQ(value, i);
    ping.unpark();
    pong.park();
  }
  other.join();
  EXPECT_EQ(value, rounds);
}

}  // namespace
}  // namespace spawnpool
