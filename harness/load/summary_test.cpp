#include "harness/load/summary.hpp"

#include <gtest/gtest.h>

#include <sstream>

namespace spawnpool::load {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t ms = nanoseconds(1ms).count();

class SummaryTest : public ::testing::Test {
 protected:
  SummaryTest() {
    Recorder& recorder = outcome_.total.recorder;
    recorder.set_window(1000 * ms, 2000 * ms);
    answer(900, 950);  // of the warm-up
    answer(1100, 1110);
    outcome_.window = 1s;
    outcome_.workers.emplace_back();
  }

  void answer(std::int64_t intended_ms, std::int64_t done_ms) {
    Recorder& recorder = outcome_.total.recorder;
    const std::int64_t sent = intended_ms * ms;
    recorder.due(sent);
    recorder.sent(sent, sent, /*waited=*/false);
    recorder.answered({sent, sent, done_ms * ms, done_ms * ms, 200, false});
  }

  std::string summary() const {
    std::ostringstream out;
    print_summary(out, spec_, outcome_, {});
    return out.str();
  }

  ::testing::AssertionResult tells(const std::string& words) const {
    const std::string whole = summary();
    return (whole.find(words) != std::string::npos ? ::testing::AssertionSuccess()
                                                   : ::testing::AssertionFailure())
           << whole;
  }

  LoadSpec spec_;
  LoadOutcome outcome_;
};

TEST_F(SummaryTest, TellsWhatTheWarmUpHadApart) {
  EXPECT_FALSE(tells("warm-up"));
  spec_.warmup = 500ms;
  EXPECT_TRUE(tells("requests: 1 sent, 1 answered, 0 failed, 0 unfinished\n"));
  EXPECT_TRUE(tells("not among them, from the warm-up of 0.5 s before: 1 answers"));
}

TEST_F(SummaryTest, TellsLatenciesThatNoHistogramHolds) {
  EXPECT_FALSE(tells("left out"));
  outcome_.total.recorder.unfinished(1000 * ms, nanoseconds(2h).count());
  EXPECT_TRUE(tells("1 latencies of more than an hour are left out above\n"));
}

TEST_F(SummaryTest, TellsThatALoadWasNotSteady) {
  for (std::size_t i = 0; i < 20; ++i) {
    outcome_.total.recorder.intervals[i].answered = i < 10 ? 100 : 50;
  }
  EXPECT_TRUE(tells("not steady: a step in throughput from 2000 to 1000 at 0.50 s\n"));
}

TEST(Saturation, AStepWithoutAnAnswerHasNoLatency) {
  std::ostringstream out;
  print_saturation(
      out, parse_condition("p99<5ms"),
      {.rate_rps = 100,
       .steps = {{.offered_rps = 100, .achieved_rps = 99, .p50_us = 7, .p99_us = 8, .holds = true},
                 {.offered_rps = 200, .reason = "no-answer: none"}}});
  EXPECT_EQ(out.str(),
            "  offered   achieved   p50, us   p99, us   p99<5ms\n"
            "      100         99         7         8   holds\n"
            "      200          0         -         -   no-answer: none\n"
            "highest rate: 100 per second\n");
}

}  // namespace
}  // namespace spawnpool::load
