#include "harness/load/saturation.hpp"

#include <gtest/gtest.h>

namespace spawnpool::load {
namespace {

// A server that holds up to a rate.
TryRate holds_up_to(double limit) {
  return [limit](double rate) {
    return SaturationStep{.offered_rps = rate, .achieved_rps = rate, .holds = rate <= limit};
  };
}

const auto never = [] { return false; };

TEST(Saturation, IsFoundWithinATwentieth) {
  for (const double limit : {1000.0, 1500.0, 12'345.0, 99'999.0}) {
    const Saturation found = search_saturation(1000, 1e8, holds_up_to(limit), never);
    ASSERT_TRUE(found.rate_rps);
    EXPECT_LE(*found.rate_rps, limit);
    EXPECT_GE(*found.rate_rps, limit / 1.05);
  }
}

TEST(Saturation, IsFoundBelowTheFirstRate) {
  const Saturation found = search_saturation(1000, 1e8, holds_up_to(100), never);
  ASSERT_TRUE(found.rate_rps);
  EXPECT_NEAR(*found.rate_rps, 100, 5);
}

TEST(Saturation, KeepsTheWholeCurve) {
  const Saturation found = search_saturation(1000, 1e8, holds_up_to(3000), never);
  ASSERT_GE(found.steps.size(), 4);
  EXPECT_EQ(found.steps[0].offered_rps, 1000);
  EXPECT_EQ(found.steps[1].offered_rps, 2000);
  EXPECT_EQ(found.steps[2].offered_rps, 4000);
  EXPECT_EQ(found.steps[3].offered_rps, 3000);
  EXPECT_FALSE(found.steps[2].holds);
}

TEST(Saturation, SaysWhenNothingHolds) {
  const Saturation found = search_saturation(1000, 1e8, holds_up_to(0), never);
  EXPECT_FALSE(found.rate_rps);
  EXPECT_FALSE(found.steps.empty());
  EXPECT_LT(found.steps.size(), 20);
}

TEST(Saturation, EndsAtTheMostThatIsAskedFor) {
  const Saturation found = search_saturation(1000, 8000, holds_up_to(1e12), never);
  EXPECT_EQ(found.rate_rps, 8000);
  EXPECT_EQ(found.steps.size(), 4);
}

TEST(Saturation, EndsWhenStopped) {
  int tries = 0;
  const Saturation found = search_saturation(
      1000, 1e8,
      [&](double rate) {
        ++tries;
        return holds_up_to(1e12)(rate);
      },
      [&] { return tries == 3; });
  EXPECT_EQ(found.steps.size(), 3);
}

}  // namespace
}  // namespace spawnpool::load
