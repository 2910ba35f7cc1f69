// The costs of a window as spawnpool-trial tells them: real servers under real load.
#include "harness/trial/window_cost.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "harness/trial/testing/trial_process.hpp"

namespace spawnpool::trial {
namespace {

using nlohmann::json;
using testing::fixture_spec;
using testing::Outcome;
using testing::run_trial;

json worker_pool(const std::vector<std::string>& options) {
  json spec = fixture_spec();
  spec["target"] = {{"name", "pool"}, {"model", "worker-pool"}, {"options", options}};
  spec["scenario"]["request"]["path"] = "/plaintext";
  spec["driver"] = "builtin";
  spec["duration"] = "400ms";
  return spec;
}

json measure(const json& spec) {
  const Outcome outcome = run_trial(spec);
  EXPECT_FALSE(outcome.result.is_discarded()) << ::testing::PrintToString(outcome.err);
  EXPECT_NE(outcome.result.at("status"), "failed") << outcome.result.at("reasons");
  return outcome.result;
}

// The answers that came while the load went on; the last may have come after it.
std::vector<int> within(const json& result, const std::string& series) {
  const json& status = result.at("server").at("time_series").at("status");
  std::vector<int> values;
  for (std::size_t i = 0; i < status.at("t_s").size(); ++i) {
    if (status.at("t_s").at(i) < result.at("window_s")) {
      values.push_back(status.at(series).at(i));
    }
  }
  EXPECT_FALSE(values.empty()) << status;
  return values;
}

TEST(WindowCost, TellsSwitchesByKindAndWhoElseUsedTheCores) {
  const json result = measure(worker_pool({"--workers", "4"}));
  const json& server = result.at("server");
  if (server.at("context_switches_per_request").is_null()) {
    EXPECT_TRUE(result.at("unmeasured").contains("server.run_queue_wait_us_per_request"));
  } else {
    EXPECT_DOUBLE_EQ(server.at("context_switches_per_request").get<double>(),
                     server.at("voluntary_switches_per_request").get<double>() +
                         server.at("involuntary_switches_per_request").get<double>());
    EXPECT_GT(server.at("context_switches_per_request"), 0);
    EXPECT_GT(server.at("run_queue_wait_us_per_request"), 0) << "four workers share a core";
  }
  EXPECT_GE(server.at("threads"), 4);
  EXPECT_LE(server.at("threads"), server.at("threads_peak"));
  EXPECT_GT(server.at("rss_bytes"), 100'000);
  EXPECT_GT(result.at("load").at("generator").at("cpu_us_per_request"), 0);
  for (const char* share : {"foreign_cpu_share", "steal_share", "server_idle_share"}) {
    EXPECT_GE(result.at("machine").at(share), 0);
    EXPECT_LE(result.at("machine").at(share), 1);
  }
  // A core does not idle while its server runs.
  const double tick = 0.01 / result.at("window_s").get<double>();
  EXPECT_LE(result.at("machine").at("server_idle_share").get<double>() +
                server.at("cpu_utilization").get<double>(),
            1 + 2 * tick);
}

TEST(WindowCost, FollowsTheTargetOnTheClockOfTheWindow) {
  const json result = measure(worker_pool({"--workers", "4"}));
  const json& series = result.at("server").at("time_series");
  const auto times = series.at("t_s").get<std::vector<double>>();
  ASSERT_FALSE(times.empty());
  EXPECT_TRUE(std::is_sorted(times.begin(), times.end()));
  EXPECT_GT(times.front(), 0);
  for (const char* name : {"cpu_utilization", "threads", "rss_bytes"}) {
    EXPECT_EQ(series.at(name).size(), times.size()) << name;
  }
  EXPECT_EQ(within(result, "connections_open"), std::vector<int>(within(result, "t_s").size(), 4));
  EXPECT_EQ(within(result, "threads_busy"), within(result, "connections_open"));
}

TEST(WindowCost, SeesTheQueue) {
  const json result = measure(worker_pool({"--workers", "1", "--queue", "10"}));
  const std::size_t count = within(result, "t_s").size();
  EXPECT_EQ(within(result, "connections_open"), std::vector<int>(count, 4));
  EXPECT_EQ(within(result, "threads_busy"), std::vector<int>(count, 1));
  EXPECT_EQ(within(result, "queued"), std::vector<int>(count, 3));
}

TEST(WindowCost, SaysThatAForeignTargetTellsNoStatus) {
  json spec = fixture_spec({"--work-us", "20"});
  spec["driver"] = "builtin";
  spec["duration"] = "1s";
  const json result = measure(spec);
  EXPECT_TRUE(result.at("server").at("time_series").at("status").is_null());
  EXPECT_EQ(result.at("unmeasured").at("server.time_series.status"),
            "the target offers no status lines");
}

}  // namespace
}  // namespace spawnpool::trial
