#include "harness/load/steady_state.hpp"

#include <gtest/gtest.h>

#include <random>

namespace spawnpool::load {
namespace {

// Throughput and mean latency of each interval.
std::vector<Interval> series(std::size_t count, auto answered, auto latency_us) {
  std::vector<Interval> intervals(count);
  for (std::size_t i = 0; i < count; ++i) {
    intervals[i].answered = static_cast<std::uint64_t>(answered(i));
    intervals[i].latency_sum_us = intervals[i].answered * static_cast<std::uint64_t>(latency_us(i));
  }
  return intervals;
}

TEST(SteadyState, ANoisySeriesIsSteady) {
  std::mt19937 random(1);
  std::normal_distribution<double> noise(0, 1);
  int steady = 0;
  constexpr int trials = 200;
  for (int i = 0; i < trials; ++i) {
    const auto state = judge_steady_state(series(
        100, [&](std::size_t) { return 10'000 + 500 * noise(random); },
        [&](std::size_t) { return 1000 + 50 * noise(random); }));
    steady += *state.steady ? 1 : 0;
  }
  EXPECT_GE(steady, trials - 2);
}

TEST(SteadyState, AStepIsFoundWithItsPlaceAndSize) {
  const auto state = judge_steady_state(series(
      50, [](std::size_t i) { return (i < 20 ? 1000 : 700) + 10.0 * static_cast<double>(i % 3); },
      [](std::size_t) { return 500; }));
  ASSERT_EQ(state.steady, false);
  ASSERT_EQ(state.evidence.size(), 1);
  const Change& change = state.evidence.front();
  EXPECT_EQ(change.series, "throughput");
  EXPECT_EQ(change.kind, "step");
  EXPECT_EQ(change.at, 20);
  EXPECT_NEAR(change.before, 10'100, 100);
  EXPECT_NEAR(change.after, 7'100, 100);
  EXPECT_LT(change.p_value, 0.01);
}

TEST(SteadyState, ATrendIsCalledOne) {
  const auto state = judge_steady_state(series(
      40, [](std::size_t) { return 1000; }, [](std::size_t i) { return 500 + 10 * i; }));
  ASSERT_EQ(state.evidence.size(), 1);
  EXPECT_EQ(state.evidence.front().series, "latency");
  EXPECT_EQ(state.evidence.front().kind, "trend");
}

TEST(SteadyState, ASmallChangeDoesNotMatter) {
  const auto state = judge_steady_state(series(
      50, [](std::size_t i) { return i < 25 ? 1000 : 950; }, [](std::size_t) { return 500; }));
  EXPECT_EQ(state.steady, true);
}

TEST(SteadyState, AShortWindowIsNotJudged) {
  const auto state = judge_steady_state(series(
      9, [](std::size_t) { return 1; }, [](std::size_t) { return 1; }));
  EXPECT_FALSE(state.steady);
  EXPECT_FALSE(state.reason.empty());
}

TEST(SteadyState, ALongWindowIsJudgedInParts) {
  const auto state = judge_steady_state(series(
      36'000, [](std::size_t i) { return i < 18'000 ? 100 : 50; }, [](std::size_t) { return 1; }));
  ASSERT_EQ(state.evidence.size(), 1);
  EXPECT_NEAR(static_cast<double>(state.evidence.front().at), 18'000, 36);
}

// The example of Pettitt's paper is not free; these are worked by hand: U reaches 9 after 3 of 6.
TEST(SteadyState, TheChangePointIsPettitts) {
  const std::vector<double> values = {1, 2, 3, 10, 11, 12};
  const ChangePoint found = change_point(values);
  EXPECT_EQ(found.at, 3);
  EXPECT_NEAR(found.p_value, 2 * std::exp(-6.0 * 81 / (216 + 36)), 1e-12);
  EXPECT_DOUBLE_EQ(rank_trend(values), 1);
}

}  // namespace
}  // namespace spawnpool::load
