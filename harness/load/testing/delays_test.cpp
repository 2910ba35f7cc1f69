#include "harness/load/testing/delays.hpp"

#include <gtest/gtest.h>

namespace spawnpool::load::testing {
namespace {

TEST(Delays, AreConstant) {
  Delays delays({.kind = Delays::Kind::constant, .delay_ns = 5});
  EXPECT_EQ(delays.next(), 5);
  EXPECT_EQ(delays.next(), 5);
}

TEST(Delays, HaveTwoValuesInTheirShares) {
  Delays delays({.kind = Delays::Kind::two_valued,
                 .delay_ns = 1,
                 .other_ns = 100,
                 .other_share = 0.25,
                 .seed = 7});
  int others = 0;
  for (int i = 0; i < 100'000; ++i) {
    others += delays.next() == 100 ? 1 : 0;
  }
  EXPECT_NEAR(others, 25'000, 700);  // five standard deviations
}

TEST(Delays, AreExponential) {
  Delays delays({.kind = Delays::Kind::exponential, .delay_ns = 1'000'000, .seed = 7});
  double sum = 0;
  int above_mean = 0;
  for (int i = 0; i < 100'000; ++i) {
    const std::int64_t delay = delays.next();
    ASSERT_GE(delay, 0);
    sum += static_cast<double>(delay);
    above_mean += delay > 1'000'000 ? 1 : 0;
  }
  EXPECT_NEAR(sum / 100'000, 1'000'000, 16'000);
  EXPECT_NEAR(above_mean, 36'788, 800);
}

TEST(Delays, RepeatWithTheirSeed) {
  const Delays::Options options{
      .kind = Delays::Kind::exponential, .delay_ns = 1'000'000, .seed = 7};
  Delays first(options);
  Delays second(options);
  EXPECT_EQ(first.next(), second.next());
  Delays::Options other = options;
  other.seed = 8;
  EXPECT_NE(first.next(), Delays(other).next());
}

TEST(Stalls, HoldWhatFallsIntoThem) {
  const Stalls stalls{.start_ns = 1000, .length_ns = 10, .period_ns = 100};
  EXPECT_EQ(stalls.release(0), 0);
  EXPECT_EQ(stalls.release(1000), 1000);
  EXPECT_EQ(stalls.release(1089), 1089);
  EXPECT_EQ(stalls.release(1090), 1100);
  EXPECT_EQ(stalls.release(1099), 1100);
  EXPECT_EQ(stalls.release(1100), 1100);
  EXPECT_EQ(stalls.release(7895), 7900);
}

TEST(Stalls, AreNoneByDefault) {
  EXPECT_EQ(Stalls{}.release(5), 5);
}

}  // namespace
}  // namespace spawnpool::load::testing
