#include "harness/load/arrivals.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace spawnpool::load {
namespace {

using namespace std::chrono_literals;

std::vector<double> gaps(ArrivalSequence& sequence, int count) {
  std::vector<double> result;
  nanoseconds before = sequence.next();
  for (int i = 0; i < count; ++i) {
    const nanoseconds next = sequence.next();
    result.push_back(std::chrono::duration<double>(next - before).count());
    before = next;
  }
  return result;
}

TEST(Arrivals, UniformOnesOfAllThreadsInterleaveEvenly) {
  const OpenLoop loop{.rate = 1000, .arrivals = Arrivals::uniform};
  ArrivalSequence first(loop, 0, 2);
  ArrivalSequence second(loop, 1, 2);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(first.next(), 2ms * i);
    EXPECT_EQ(second.next(), 2ms * i + 1ms);
  }
}

TEST(Arrivals, UniformOnesDoNotDrift) {
  const OpenLoop loop{.rate = 30'000, .arrivals = Arrivals::uniform};  // 33,333.3 ns
  ArrivalSequence sequence(loop, 0, 1);
  nanoseconds last{};
  for (int i = 0; i <= 30'000 * 60; ++i) {
    last = sequence.next();
  }
  EXPECT_LE(std::chrono::abs(last - 60s), 1us);
}

// With 100,000 gaps the mean is within 1.5 % and the standard deviation within 3 % of it, both at
// more than four standard errors.
TEST(Arrivals, PoissonOnesHaveExponentialGaps) {
  const OpenLoop loop{.rate = 20'000, .seed = 7};
  ArrivalSequence sequence(loop, 1, 2);
  const auto all = gaps(sequence, 100'000);
  double sum = 0;
  double squares = 0;
  for (const double gap : all) {
    ASSERT_GE(gap, 0);
    sum += gap;
    squares += gap * gap;
  }
  const double mean = sum / static_cast<double>(all.size());
  const double deviation = std::sqrt(squares / static_cast<double>(all.size()) - mean * mean);
  EXPECT_NEAR(mean, 1e-4, 1.5e-6);
  EXPECT_NEAR(deviation, 1e-4, 3e-6);
}

TEST(Arrivals, TheSeedDecides) {
  const auto drawn = [](std::uint64_t seed, unsigned share) {
    ArrivalSequence sequence({.rate = 100, .seed = seed}, share, 2);
    return gaps(sequence, 10);
  };
  EXPECT_EQ(drawn(1, 0), drawn(1, 0));
  EXPECT_NE(drawn(1, 0), drawn(2, 0));
  EXPECT_NE(drawn(1, 0), drawn(1, 1));
}

TEST(Arrivals, BurstsComeAtOnceAndAreSplit) {
  const OpenLoop loop{.rate = 30, .burst = 3, .burst_every = 100ms};
  ArrivalSequence first(loop, 0, 2);
  ArrivalSequence second(loop, 1, 2);
  const std::vector<nanoseconds> expected = {0ms, 0ms, 100ms, 100ms, 200ms};
  for (const nanoseconds due : expected) {
    EXPECT_EQ(first.next(), due);
  }
  EXPECT_EQ(second.next(), 0ms);
  EXPECT_EQ(second.next(), 100ms);
}

TEST(Arrivals, AThreadWithoutAShareOfTheBurstHasNone) {
  ArrivalSequence sequence({.rate = 10, .burst = 1, .burst_every = 100ms}, 1, 2);
  EXPECT_EQ(sequence.next(), nanoseconds::max());
}

}  // namespace
}  // namespace spawnpool::load
