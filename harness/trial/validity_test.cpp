#include "harness/trial/validity.hpp"

#include <gtest/gtest.h>

namespace spawnpool::trial {
namespace {

WrkReport report_of(const LatencyCounts& latency, std::uint64_t late = 0) {
  WrkReport report;
  report.latency = latency;
  report.requests = late;
  report.timeout_errors = late;
  for (const auto& [value, count] : latency) {
    report.requests += count;
  }
  return report;
}

std::vector<std::string> codes(const std::vector<Reason>& reasons) {
  std::vector<std::string> codes;
  for (const Reason& reason : reasons) {
    codes.push_back(reason.code);
  }
  return codes;
}

TEST(ErrorShare, CountsEachAttemptOnce) {
  WrkReport report = report_of({{10, 90}}, 2);
  report.connect_errors = 1;
  report.read_errors = 3;
  report.write_errors = 4;
  report.status_errors = 5;
  EXPECT_DOUBLE_EQ(error_share(report), (1 + 3 + 4 + 5 + 2) / 100.0);
  EXPECT_EQ(error_share(WrkReport{}), 0);
}

TEST(Doubts, NameAGeneratorThatWasTheLimit) {
  const WrkReport report = report_of({{10, 1000}});
  EXPECT_EQ(codes(doubts(report, {0.97, 0.89, false, 0})),
            std::vector<std::string>{"generator-bound"});
  EXPECT_EQ(
      doubts(report, {0.98, 0.5, false, 0}).at(0).message,
      "the generator used 98 % of its CPU, the server only 50 %: the generator was the limit");
  EXPECT_TRUE(doubts(report, {0.96, 0.5, false, 0}).empty());
  EXPECT_TRUE(doubts(report, {0.99, 0.90, false, 0}).empty());
  EXPECT_TRUE(doubts(report, {0.99, 0.5, true, 0}).empty());
}

TEST(Doubts, NameTooManyErrors) {
  WrkReport report = report_of({{10, 999}});
  report.read_errors = 1;
  EXPECT_TRUE(doubts(report, {0, 1, false, 0.001}).empty());
  EXPECT_EQ(codes(doubts(report, {0, 1, false, 0.0009})), std::vector<std::string>{"error-share"});
}

TEST(Doubts, NameALostConnectionHoweverRare) {
  WrkReport report = report_of({{10, 1'000'000}});
  report.connect_errors = 1;
  EXPECT_EQ(codes(doubts(report, {0, 1, false, 0.001})), std::vector<std::string>{"error-share"});
}

TEST(LatencyResult, IsExactByNearestRank) {
  LatencyCounts latency;
  for (std::uint64_t value = 1; value <= 1000; ++value) {
    latency.emplace_back(value, 1);
  }
  const LatencyResult result = latency_result(report_of(latency));
  EXPECT_EQ(*result.p50.value(), 500U);
  EXPECT_EQ(*result.p90.value(), 900U);
  EXPECT_EQ(*result.p99.value(), 990U);
  EXPECT_EQ(*result.p99_9.value(), 999U);
  EXPECT_EQ(*result.max.value(), 1000U);
  EXPECT_DOUBLE_EQ(*result.mean.value(), 500.5);
}

TEST(LatencyResult, CountsLateAnswersAsLaterThanAllOthers) {
  const LatencyResult result = latency_result(report_of({{1, 90}, {2, 5}}, 5));
  EXPECT_EQ(*result.p50.value(), 1U);
  EXPECT_EQ(*result.p90.value(), 1U);
  EXPECT_EQ(result.p99.value(), nullptr);
  EXPECT_EQ(result.max.value(), nullptr);
  EXPECT_EQ(result.mean.value(), nullptr);
  EXPECT_FALSE(result.p99.reason().empty());
}

TEST(LatencyResult, LeavesOutAnswersThatCameBeforeTheirRequest) {
  WrkReport report = report_of({{1, 50}, {3, 50}});
  report.requests += 100;
  report.unasked = 100;
  const LatencyResult result = latency_result(report);
  EXPECT_EQ(*result.p50.value(), 1U);
  EXPECT_EQ(*result.max.value(), 3U);
  EXPECT_DOUBLE_EQ(*result.mean.value(), 2);
}

}  // namespace
}  // namespace spawnpool::trial
