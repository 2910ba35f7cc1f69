#include "harness/load/condition.hpp"

#include <gtest/gtest.h>

#include "servers/cli/cli.hpp"

namespace spawnpool::load {
namespace {

using namespace std::chrono_literals;

// 100 answers of 1 to 100 ms in a second, 3 errors.
LoadOutcome outcome() {
  LoadOutcome result;
  result.window = 1s;
  Recorder& recorder = result.total.recorder;
  for (std::uint64_t ms = 1; ms <= 100; ++ms) {
    EXPECT_TRUE(recorder.latency.record(ms * 1000));
  }
  recorder.answers_in_window = 100;
  recorder.counts.sent = 103;
  recorder.errors[0] = 3;
  recorder.rejected = 2;
  return result;
}

TEST(Condition, HoldsOrNot) {
  const LoadOutcome found = outcome();
  for (const char* text : {"p99>90ms", "p50<=51ms", "max>=100ms", "mean<60ms", "p99.9>98ms",
                           "throughput<101", "throughput>=100", "errors>0", "errors>=3",
                           "error_share>2%", "error_share<0.03", "rejected>1", "dropped<1"}) {
    EXPECT_TRUE(parse_condition(text).holds(found)) << text;
  }
  for (const char* text : {"p99>200ms", "p50<1ms", "max<100ms", "throughput>100", "errors>3",
                           "error_share>3%", "dropped>0"}) {
    EXPECT_FALSE(parse_condition(text).holds(found)) << text;
  }
}

TEST(Condition, NoLatencyMeetsNothing) {
  EXPECT_FALSE(parse_condition("p99>=0us").holds(LoadOutcome()));
  EXPECT_FALSE(parse_condition("p99<1h").holds(LoadOutcome()));
}

TEST(Condition, RefusesWhatIsNone) {
  for (const char* text : {"", "p99", "p99=5ms", "p99>5", "p99>ms", "p98>5ms", "errors>x",
                           "errors>", "errors>5%", "throughput>1s", ">5ms"}) {
    EXPECT_THROW(parse_condition(text), cli::UsageError) << text;
  }
}

}  // namespace
}  // namespace spawnpool::load
