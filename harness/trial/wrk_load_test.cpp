#include "harness/trial/wrk_load.hpp"

#include <gtest/gtest.h>

#include "harness/load/histogram.hpp"

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

TEST(ErrorShare, CountsEachAttemptOnce) {
  WrkReport report = report_of({{10, 90}}, 2);
  report.connect_errors = 1;
  report.read_errors = 3;
  report.write_errors = 4;
  report.status_errors = 5;
  EXPECT_DOUBLE_EQ(error_share(report), (1 + 3 + 4 + 5 + 2) / 100.0);
  EXPECT_EQ(error_share(WrkReport{}), 0);
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

TEST(LoadResult, HoldsWhatWrkTellsAndWhyItTellsNoMore) {
  WrkReport report = report_of({{10, 90}, {20, 10}});
  report.duration_us = 500'000;
  report.bytes = 14'200;
  report.read_errors = 3;
  const LoadResult load = load_result(report, 0.5);
  EXPECT_EQ(*load.requests.value(), 100U);
  EXPECT_DOUBLE_EQ(*load.throughput_rps.value(), 200);
  EXPECT_EQ(*load.errors.read.value(), 3U);
  EXPECT_EQ(*load.bytes_received.value(), 14'200U);
  EXPECT_EQ(*load.generator.cpu_utilization.value(), 0.5);
  EXPECT_EQ(load::Histogram::decode(*load.latency_histogram.value()).value().count(), 100U);
  EXPECT_FALSE(load.errors.protocol.reason().empty());
  EXPECT_NE(load.wait_us.reason().find("closed loop"), std::string::npos);
  EXPECT_NE(load.steady_state.reason().find("wrk"), std::string::npos);
}

}  // namespace
}  // namespace spawnpool::trial
