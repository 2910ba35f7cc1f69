#include "harness/trial/wrk_report.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

namespace spawnpool::trial {
namespace {

using Array = std::vector<std::uint64_t>;

// stats_correct of wrk 4.1.0, src/stats.c, as it is there.
void stats_correct(Array& data, std::int64_t expected) {
  const auto max = static_cast<std::uint64_t>(data.size() - 1);
  for (auto n = static_cast<std::uint64_t>(expected * 2); n <= max; n++) {
    const std::uint64_t count = data[n];
    std::int64_t m = static_cast<std::int64_t>(n) - expected;
    while (count != 0 && m > expected) {
      data[static_cast<std::size_t>(m)] += count;
      m -= expected;
    }
  }
}

LatencyCounts sparse(const Array& data) {
  LatencyCounts counts;
  for (std::size_t i = 0; i < data.size(); ++i) {
    if (data[i] != 0) {
      counts.emplace_back(i, data[i]);
    }
  }
  return counts;
}

TEST(UndoCorrection, InvertsWhatWrkDoes) {
  std::mt19937_64 random(20240607);
  for (int round = 0; round < 2000; ++round) {
    Array data(2 + random() % 400);
    const std::uint64_t density = 1 + random() % 20;
    for (auto& count : data) {
      count = random() % density == 0 ? random() % 1000 : 0;
    }
    data.back() = 1 + random() % 1000;  // wrk's max is a value that occurred
    const std::uint64_t interval = 1 + random() % (data.size() + 10);
    Array corrected = data;
    stats_correct(corrected, static_cast<std::int64_t>(interval));
    ASSERT_EQ(undo_correction(sparse(corrected), interval), sparse(data))
        << "round " << round << ", interval " << interval;
  }
}

TEST(UndoCorrection, RefusesWhatWrkCannotHaveMade) {
  // At 30 there are samples, which would have left as many at 20.
  EXPECT_THROW(undo_correction({{20, 1}, {30, 2}}, 10), WrkReportError);
}

std::string output(const std::string& requests, const std::string& timeouts,
                   const std::string& latency) {
  return "Running 1s test\n  1 threads\n\n{\"duration_us\":1000,\"requests\":" + requests +
         ",\"bytes\":5,\"errors\":{\"connect\":1,\"read\":2,\"write\":3,\"timeout\":" + timeouts +
         ",\"status\":4},\"latency\":" + latency + "}\n";
}

TEST(ReadWrkReport, ReadsAndRestores) {
  // Two connections, ten answers in 1000 us: wrk's interval is 200. The one at 700 became three:
  // those at 500 and 300.
  const WrkReport report =
      read_wrk_report(output("10", "2", "[[100,7],[300,1],[500,1],[700,1]]"), 2);
  EXPECT_EQ(report.latency, (LatencyCounts{{100, 7}, {700, 1}}));
  EXPECT_EQ(report.duration_us, 1000U);
  EXPECT_EQ(report.requests, 10U);
  EXPECT_EQ(report.bytes, 5U);
  EXPECT_EQ(report.connect_errors, 1U);
  EXPECT_EQ(report.read_errors, 2U);
  EXPECT_EQ(report.write_errors, 3U);
  EXPECT_EQ(report.timeout_errors, 2U);
  EXPECT_EQ(report.status_errors, 4U);
}

TEST(ReadWrkReport, LeavesAloneWhatWrkDidNotCorrect) {
  // Fewer answers than connections: wrk has no interval then.
  EXPECT_EQ(read_wrk_report(output("1", "0", "[[700,1]]"), 2).latency, (LatencyCounts{{700, 1}}));
  EXPECT_TRUE(read_wrk_report(output("0", "0", "[]"), 2).latency.empty());
}

TEST(ReadWrkReport, TellsAnswersThatCameBeforeTheirRequest) {
  EXPECT_EQ(read_wrk_report(output("7", "0", "[[100,5]]"), 7).unasked, 2U);
  EXPECT_EQ(read_wrk_report(output("7", "1", "[[100,2]]"), 7).unasked, 4U);
}

TEST(ReadWrkReport, RefusesSumsThatDoNotAgree) {
  EXPECT_THROW(read_wrk_report(output("7", "0", "[[100,2]]"), 7), WrkReportError);
  EXPECT_THROW(read_wrk_report(output("7", "1", "[[100,7]]"), 7), WrkReportError);
  EXPECT_THROW(read_wrk_report(output("1", "0", "{}"), 1), WrkReportError);
}

TEST(ReadWrkReport, RefusesAnythingElse) {
  for (const char* text : {"", "\n", "Requests/sec: 100\n", "{}", "{\"duration_us\":1", "[1,2]"}) {
    EXPECT_THROW(read_wrk_report(text, 1), WrkReportError) << text;
  }
}

}  // namespace
}  // namespace spawnpool::trial
