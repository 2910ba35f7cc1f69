#include "servers/core/address_limit.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace spawnpool {
namespace {

PeerAddress address(unsigned char last) {
  PeerAddress result{};
  result[15] = last;
  return result;
}

TEST(AddressLimit, GivesEachAddressItsShareAndNoMore) {
  AddressLimit limit(2);
  EXPECT_TRUE(limit.acquire(address(1)));
  EXPECT_TRUE(limit.acquire(address(1)));
  EXPECT_FALSE(limit.acquire(address(1)));
  EXPECT_TRUE(limit.acquire(address(2)));
  limit.release(address(1));
  EXPECT_TRUE(limit.acquire(address(1)));
  EXPECT_FALSE(limit.acquire(address(1)));
}

TEST(AddressLimit, DoesNotCountThoseItRefused) {
  AddressLimit limit(1);
  ASSERT_TRUE(limit.acquire(address(1)));
  for (int i = 0; i < 10; ++i) {
    EXPECT_FALSE(limit.acquire(address(1)));
  }
  limit.release(address(1));
  EXPECT_TRUE(limit.acquire(address(1)));
}

TEST(AddressLimit, HoldsWhenManyThreadsAsk) {
  constexpr int max = 3;
  AddressLimit limit(max);
  std::atomic<int> inside = 0;
  std::atomic<int> most = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) {
        if (!limit.acquire(address(1))) {
          continue;
        }
        const int now = ++inside;
        int seen = most;
        while (seen < now && !most.compare_exchange_weak(seen, now)) {
        }
        --inside;
        limit.release(address(1));
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_LE(most, max);
  for (int i = 0; i < max; ++i) {
    EXPECT_TRUE(limit.acquire(address(1)));  // all were counted out
  }
  EXPECT_FALSE(limit.acquire(address(1)));
}

}  // namespace
}  // namespace spawnpool
