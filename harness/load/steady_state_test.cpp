#include "harness/load/steady_state.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace spawnpool::load {
namespace {

SteadyState judged(const std::vector<Interval>& intervals) {
  return judge_steady_state(intervals, Recorder::interval * intervals.size());
}

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
    const auto state = judged(series(
        100, [&](std::size_t) { return 10'000 + 500 * noise(random); },
        [&](std::size_t) { return 1000 + 50 * noise(random); }));
    steady += *state.steady ? 1 : 0;
  }
  EXPECT_GE(steady, trials - 2);
}

TEST(SteadyState, AStepIsFoundWithItsPlaceAndSize) {
  const auto state = judged(series(
      50, [](std::size_t i) { return (i < 20 ? 1000 : 700) + 10.0 * static_cast<double>(i % 3); },
      [](std::size_t) { return 500; }));
  ASSERT_EQ(state.steady, false);
  ASSERT_EQ(state.evidence.size(), 1);
  const Change& change = state.evidence.front();
  EXPECT_EQ(change.series, "throughput");
  EXPECT_EQ(change.kind, "step");
  EXPECT_EQ(change.at, 20);
  EXPECT_NEAR(change.before, 20'200, 200);  // a second has 20 intervals
  EXPECT_NEAR(change.after, 14'200, 200);
  EXPECT_LT(change.p_value, 0.01);
}

TEST(SteadyState, ATrendIsCalledOne) {
  const auto state = judged(series(
      40, [](std::size_t) { return 1000; }, [](std::size_t i) { return 500 + 10 * i; }));
  ASSERT_EQ(state.evidence.size(), 1);
  EXPECT_EQ(state.evidence.front().series, "latency");
  EXPECT_EQ(state.evidence.front().kind, "trend");
}

TEST(SteadyState, ASmallChangeDoesNotMatter) {
  const auto state = judged(series(
      50, [](std::size_t i) { return i < 25 ? 1000 : 950; }, [](std::size_t) { return 500; }));
  EXPECT_EQ(state.steady, true);
}

TEST(SteadyState, AShortWindowIsNotJudged) {
  const auto state = judged(series(
      9, [](std::size_t i) { return i < 5 ? 100 : 1; }, [](std::size_t) { return 1; }));
  EXPECT_FALSE(state.steady);
  EXPECT_EQ(state.reason, "fewer than 10 intervals of 50 ms have a latency");
}

TEST(SteadyState, AChangeIsFoundInTheShortestWindowThatIsJudged) {
  const auto same = [](std::size_t) { return 1000; };
  const auto step = judged(series(
      10, [](std::size_t i) { return i < 5 ? 1000 : 700; }, same));
  ASSERT_EQ(step.steady, false);
  EXPECT_EQ(step.evidence.front().kind, "step");
  const auto trend = judged(series(
      10, [](std::size_t i) { return 1000 + 50 * i; }, same));
  ASSERT_EQ(trend.steady, false);
  EXPECT_EQ(trend.evidence.front().kind, "trend");
  EXPECT_EQ(judged(series(10, same, same)).steady, true);
}

// The suites' windows have 20 intervals.
TEST(SteadyState, AChangeIsFoundInASecond) {
  std::mt19937 random(1);
  std::normal_distribution<double> noise(0, 1);
  int found = 0;
  constexpr int trials = 200;
  for (int i = 0; i < trials; ++i) {
    const std::size_t at = 6 + static_cast<std::size_t>(i % 9);
    const auto state = judged(series(
        20, [&](std::size_t k) { return (k < at ? 10'000 : 8000) + 300 * noise(random); },
        [&](std::size_t) { return 1000 + 50 * noise(random); }));
    found += *state.steady ? 0 : 1;
  }
  EXPECT_GE(found, trials - 2);
}

TEST(SteadyState, AnIntervalPartlyInTheWindowIsLeftOut) {
  const auto intervals = series(
      10, [](std::size_t i) { return i < 5 ? 1000 : 700; }, [](std::size_t) { return 500; });
  EXPECT_FALSE(
      judge_steady_state(intervals, 10 * Recorder::interval - nanoseconds(1)).steady.has_value());
}

TEST(SteadyState, IntervalsWithoutAnswersHaveNoLatency) {
  const auto answered = [](std::size_t i) { return i % 2 == 0 ? 100 : 0; };
  const auto few = judged(series(18, answered, [](std::size_t) { return 500; }));
  EXPECT_FALSE(few.steady);
  EXPECT_EQ(few.reason, "fewer than 10 intervals of 50 ms have a latency");
  const auto enough =
      judged(series(24, answered, [](std::size_t i) { return i < 12 ? 500 : 900; }));
  ASSERT_EQ(enough.steady, false);
  EXPECT_EQ(enough.evidence.front().at, 12) << "by interval, not by latency";
}

TEST(SteadyState, ALongWindowIsJudgedInParts) {
  const auto state = judged(series(
      36'000, [](std::size_t i) { return i < 18'000 ? 100 : 50; }, [](std::size_t) { return 1; }));
  ASSERT_EQ(state.evidence.size(), 1);
  EXPECT_NEAR(static_cast<double>(state.evidence.front().at), 18'000, 180);
}

// The example of Pettitt's paper is not free; this is worked by hand: U reaches 9 after 3 of 6.
TEST(SteadyState, TheChangePointIsPettitts) {
  const std::vector<double> values = {1, 2, 3, 10, 11, 12};
  EXPECT_EQ(change_point(values).at, 3);
  EXPECT_DOUBLE_EQ(rank_trend(values), 1);
}

// max |U| of every order, held against that of the values as they are.
double enumerated_p(const std::vector<double>& values) {
  const auto statistic = [](const std::vector<double>& series) {
    int most = 0;
    for (std::size_t t = 1; t < series.size(); ++t) {
      int u = 0;
      for (std::size_t i = 0; i < t; ++i) {
        for (std::size_t j = t; j < series.size(); ++j) {
          u += (series[i] > series[j] ? 1 : 0) - (series[i] < series[j] ? 1 : 0);
        }
      }
      most = std::max(most, std::abs(u));
    }
    return most;
  };
  std::vector<double> order = values;
  std::sort(order.begin(), order.end());
  const int as_found = statistic(values);
  double orders = 0;
  double as_much = 0;
  do {
    ++orders;
    as_much += statistic(order) >= as_found ? 1 : 0;
  } while (std::next_permutation(order.begin(), order.end()));
  return as_much / orders;
}

TEST(SteadyState, TheProbabilityIsThatOfAllOrders) {
  for (const std::vector<double>& values : {std::vector<double>{1, 2, 3, 4, 5, 6, 7},
                                            {3, 1, 2, 7, 5, 6, 4},
                                            {1, 1, 1, 1, 2, 2, 2, 2},
                                            {4, 1, 4, 1, 5, 9, 2, 6},
                                            {5, 5, 5, 5, 5}}) {
    const double p = enumerated_p(values);
    EXPECT_NEAR(change_point(values).p_value, p, std::max(0.25 * p, 0.003));
  }
}

TEST(SteadyState, TenValuesInAPerfectStepAreOneOrderIn126) {
  EXPECT_NEAR(change_point(std::vector<double>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}).p_value, 1.0 / 126,
              0.002);
}

TEST(SteadyState, FalseAlarmsAreAsRareAsSaid) {
  std::mt19937 random(7);
  std::exponential_distribution<double> noise;
  for (const std::size_t count : {10U, 20U}) {
    int alarms = 0;
    constexpr int trials = 3000;
    for (int i = 0; i < trials; ++i) {
      std::vector<double> values(count);
      std::generate(values.begin(), values.end(), [&] { return noise(random); });
      alarms += change_point(values).p_value < 0.01 ? 1 : 0;
    }
    // Four standard deviations about 30. Of ten values only one statistic is rare enough, 0.8 %.
    EXPECT_GE(alarms, 5) << count;
    EXPECT_LE(alarms, 52) << count;
  }
}

}  // namespace
}  // namespace spawnpool::load
