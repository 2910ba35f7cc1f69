#include "servers/core/yield_policy.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace spawnpool {
namespace {

// The waits without a yield before the next yield.
int skipped(YieldPolicy& policy) {
  int count = 0;
  while (count < 1000 && !policy.should_yield()) {
    ++count;
  }
  return count;
}

TEST(YieldPolicyTest, YieldsAtEveryWaitWhileItPays) {
  YieldPolicy policy;
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(skipped(policy), 0);
    policy.learn(true);
  }
}

TEST(YieldPolicyTest, SkipsMoreWaitsAfterEachYieldInVainUpToALimit) {
  YieldPolicy policy;
  std::vector<int> skips;
  for (int i = 0; i < 8; ++i) {
    skips.push_back(skipped(policy));
    policy.learn(false);
  }
  EXPECT_EQ(skips, (std::vector{0, 1, 3, 7, 15, 31, 63, 63}));
}

TEST(YieldPolicyTest, YieldsAtEveryWaitAgainOnceItHasPaid) {
  YieldPolicy policy;
  policy.learn(false);
  policy.learn(false);
  EXPECT_EQ(skipped(policy), 3);
  policy.learn(true);
  EXPECT_EQ(skipped(policy), 0);
}

}  // namespace
}  // namespace spawnpool
