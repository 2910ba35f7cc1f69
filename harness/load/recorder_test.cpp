#include "harness/load/recorder.hpp"

#include <gtest/gtest.h>

namespace spawnpool::load {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t ms = 1'000'000;

// A window from 1,000 ms to 1,250 ms.
class RecorderTest : public ::testing::Test {
 protected:
  RecorderTest() { recorder_.set_window(1000 * ms, 1250 * ms); }

  void answer(std::int64_t intended_ms, std::int64_t done_ms, unsigned status = 200,
              bool wrong = false) {
    recorder_.due(intended_ms * ms);
    recorder_.sent(intended_ms * ms, intended_ms * ms + ms / 2, /*waited=*/false);
    recorder_.answered(
        {intended_ms * ms, intended_ms * ms + ms / 2, done_ms * ms, done_ms * ms, status, wrong});
  }

  Recorder recorder_;
};

TEST_F(RecorderTest, CountsByIntendedSendTime) {
  answer(999, 1001);  // asked in the warm-up
  answer(1000, 1010);
  answer(1249, 1300);  // answered after the window
  answer(1250, 1260);
  EXPECT_EQ(recorder_.counts.intended, 2);
  EXPECT_EQ(recorder_.counts.sent, 2);
  EXPECT_EQ(recorder_.counts.answered, 2);
  EXPECT_EQ(recorder_.latency.count(), 2);
  EXPECT_EQ(recorder_.latency.min(), 10'000);
}

TEST_F(RecorderTest, CountsThroughputByWhenTheAnswerCame) {
  answer(900, 950);
  answer(999, 1001);
  answer(1000, 1010);
  answer(1249, 1300);
  EXPECT_EQ(recorder_.answers_in_window, 2);
  EXPECT_EQ(recorder_.warmup_answers, 1);
}

TEST_F(RecorderTest, RecordsLateAndUnfinishedRequestsAtTheirAge) {
  recorder_.failed(ErrorClass::timeout, "late", 1100 * ms, 3100 * ms);
  recorder_.unfinished(1200 * ms, 4200 * ms);
  recorder_.unsent(1240 * ms, 4240 * ms);
  recorder_.failed(ErrorClass::read, "reset", 1100 * ms, 1110 * ms);  // has no latency
  EXPECT_EQ(recorder_.latency.count(), 3);
  EXPECT_NEAR(static_cast<double>(recorder_.latency.min()), 2e6, 2e3);
  EXPECT_NEAR(static_cast<double>(recorder_.latency.max()), 3e6, 3e3);
  EXPECT_EQ(recorder_.counts.failed, 2);
  EXPECT_EQ(recorder_.counts.unfinished, 1);
  EXPECT_EQ(recorder_.counts.unsent, 1);
}

TEST_F(RecorderTest, KeepsTheFirstExampleOfEachClassOfError) {
  recorder_.failed(ErrorClass::read, "first", 1100 * ms, 1110 * ms);
  recorder_.failed(ErrorClass::read, "second", 1100 * ms, 1110 * ms);
  recorder_.failed(ErrorClass::write, "before", 900 * ms, 910 * ms);
  const auto read = static_cast<std::size_t>(ErrorClass::read);
  EXPECT_EQ(recorder_.errors[read], 2);
  EXPECT_EQ(recorder_.examples[read], "first");
  EXPECT_EQ(recorder_.errors[static_cast<std::size_t>(ErrorClass::write)], 0);
  EXPECT_EQ(recorder_.warmup_errors, 1);
}

TEST_F(RecorderTest, TellsStatusesApart) {
  answer(1000, 1001, 204);
  answer(1000, 1001, 404, true);
  answer(1000, 1001, 429, true);
  answer(1000, 1001, 503, true);
  EXPECT_EQ(recorder_.status_classes[2], 1);
  EXPECT_EQ(recorder_.status_classes[4], 2);
  EXPECT_EQ(recorder_.status_classes[5], 1);
  EXPECT_EQ(recorder_.rejected, 2);
  EXPECT_EQ(recorder_.errors[static_cast<std::size_t>(ErrorClass::status)], 3);
  EXPECT_EQ(recorder_.counts.answered, 4);
  EXPECT_EQ(recorder_.counts.failed, 0);
}

TEST_F(RecorderTest, TellsWaitingFromTheGeneratorsLag) {
  recorder_.sent(1000 * ms, 1001 * ms, /*waited=*/false);
  recorder_.sent(1000 * ms, 1050 * ms, /*waited=*/true);
  EXPECT_EQ(recorder_.wait.count(), 2);
  EXPECT_EQ(recorder_.lag.count(), 1);
  EXPECT_LT(recorder_.lag.max(), 1100);
}

TEST_F(RecorderTest, HasASeriesOfWholeIntervals) {
  recorder_.set_window(1000 * ms, 1125 * ms);
  answer(1000, 1010);
  answer(1000, 1075);
  answer(1100, 1124);
  recorder_.sample(1050 * ms, 7, 3);
  recorder_.sample(1300 * ms, 2, 0);
  ASSERT_EQ(recorder_.intervals.size(), 3);  // the last of 25 ms
  EXPECT_EQ(recorder_.intervals[0].answered, 1);
  EXPECT_EQ(recorder_.intervals[0].in_flight, 7);
  EXPECT_EQ(recorder_.intervals[0].backlog, 3);
  EXPECT_EQ(recorder_.intervals[1].answered, 1);
  EXPECT_EQ(recorder_.intervals[1].latency_max_us, 75'000);
  EXPECT_EQ(recorder_.intervals[2].sent, 1);
  EXPECT_EQ(recorder_.intervals[2].in_flight, 2);
}

TEST_F(RecorderTest, MergesWhatThreadsFound) {
  Recorder other;
  other.set_window(1000 * ms, 1250 * ms);
  answer(1000, 1010);
  other.answered({1000 * ms, 1000 * ms, 1020 * ms, 1020 * ms, 200, false});
  other.failed(ErrorClass::connect, "refused", 1000 * ms, 1001 * ms);
  recorder_.merge(other);
  EXPECT_EQ(recorder_.counts.answered, 2);
  EXPECT_EQ(recorder_.latency.count(), 2);
  EXPECT_EQ(recorder_.intervals[0].answered, 2);
  EXPECT_EQ(recorder_.examples[static_cast<std::size_t>(ErrorClass::connect)], "refused");
}

TEST_F(RecorderTest, CountsALatencyBeyondItsRangeAsSuch) {
  const std::int64_t hours = std::chrono::nanoseconds(2h).count();
  recorder_.unfinished(1000 * ms, hours);
  EXPECT_EQ(recorder_.beyond_range, 1);
  EXPECT_EQ(recorder_.latency.count(), 0);
}

}  // namespace
}  // namespace spawnpool::load
