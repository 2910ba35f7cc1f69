// Perf events as spawnpool-trial tells them: real servers under real load.
#include "harness/trial/perf_pass.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "harness/cost/perf_counters.hpp"
#include "harness/cost/test_privileges.hpp"
#include "harness/trial/testing/trial_process.hpp"

namespace spawnpool::trial {
namespace {

using nlohmann::json;
using testing::fixture_spec;
using testing::Outcome;
using testing::run_trial;

// The work keeps the server the bottleneck, whatever the machine is busy with.
json perf_spec(const std::string& driver) {
  json spec = fixture_spec({"--work-us", "20"});
  spec["driver"] = driver;
  spec["accounting"] = {{"connections", 3}, {"requests_per_connection", 4}, {"perf", true}};
  return spec;
}

json perf_of(const Outcome& outcome) {
  EXPECT_FALSE(outcome.result.is_discarded()) << ::testing::PrintToString(outcome.err);
  EXPECT_NE(outcome.result.at("status"), "failed") << outcome.result.at("reasons");
  return outcome.result.at("server").at("perf");
}

// Every null of server.perf and the migrations has its reason; returns how many there are.
std::size_t missing(const Outcome& outcome, const std::string& reason_has) {
  const json& server = outcome.result.at("server");
  const json& unmeasured = outcome.result.at("unmeasured");
  std::size_t count = 0;
  const auto look = [&](const json& value, const std::string& path) {
    if (value.is_null()) {
      ++count;
      const std::string reason = unmeasured.at(path);
      EXPECT_NE(reason.find(reason_has), std::string::npos) << path << ": " << reason;
    }
  };
  for (const auto& [name, value] : server.at("perf").items()) {
    look(value, "server.perf." + name);
  }
  look(server.at("migrations_per_request"), "server.migrations_per_request");
  return count;
}

TEST(PerfPass, CountsUnderTheLoadOfEitherDriver) {
  const bool may_count = cost::PerfCounters(0).counts_kernel();
  for (const char* driver : {"builtin", "wrk"}) {
    const Outcome outcome = run_trial(perf_spec(driver));
    const json perf = perf_of(outcome);
    EXPECT_GT(perf.at("requests"), 10) << driver;
    missing(outcome, "perf_event_open: ");
    if (may_count) {
      EXPECT_EQ(perf.at("scope"), "user and kernel");
      EXPECT_GT(perf.at("running_share"), 0);
      EXPECT_GT(perf.at("task_clock_us_per_request"), 0);
      EXPECT_GT(perf.at("context_switches_per_request"), 0);
      EXPECT_GE(outcome.result.at("server").at("migrations_per_request"), 0);
    }
  }
}

TEST(PerfPass, CountsTheThreadOfEachConnection) {
  json spec = perf_spec("builtin");
  spec["target"] = {{"name", "t"}, {"model", "thread-per-connection"}, {"options", json::array()}};
  spec["scenario"]["request"]["path"] = "/work?us=20";
  spec["scenario"]["requests_per_connection"] = 1;
  spec["scenario"]["expect"] = {{"status", 200}, {"body", "done\n"}};
  const Outcome outcome = run_trial(spec);
  const json perf = perf_of(outcome);
  if (perf.at("context_switches_per_request").is_number()) {
    EXPECT_GT(perf.at("context_switches_per_request"), 0.9) << "at the end of each thread";
    EXPECT_GE(perf.at("task_clock_us_per_request"), 20);
  } else {
    EXPECT_GT(missing(outcome, "perf_event_open: "), 0U);
  }
}

TEST(PerfPass, IsOnlyMadeWhenAskedFor) {
  json spec = perf_spec("builtin");
  spec["accounting"] = nullptr;
  const Outcome outcome = run_trial(spec);
  EXPECT_EQ(missing(outcome, "not asked for in this trial"), perf_of(outcome).size() + 1);
}

TEST(PerfPass, SaysNothingOfATargetThatIsShutDown) {
  json spec = perf_spec("builtin");
  spec["point"]["shutdown_after"] = "100ms";
  const Outcome outcome = run_trial(spec);
  EXPECT_EQ(missing(outcome, "shut down within the window"), perf_of(outcome).size() + 1);
}

TEST(PerfPass, SaysWhyPerfEventsAreForbidden) {
  std::thread([] {  // the filter is the thread's, and goes with it
    cost::forbid_perf_events();
    const Outcome outcome = run_trial(perf_spec("builtin"));
    EXPECT_GT(perf_of(outcome).at("requests"), 10) << "the load was there";
    EXPECT_EQ(missing(outcome, "set it to 1 or give spawnpool-trial CAP_PERFMON"),
              perf_of(outcome).size());
    EXPECT_GT(outcome.result.at("load").at("requests"), 10);
  })
      .join();
}

}  // namespace
}  // namespace spawnpool::trial
