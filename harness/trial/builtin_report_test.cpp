#include "harness/trial/builtin_report.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <string>

namespace spawnpool::trial {
namespace {

using nlohmann::json;

json quantiles(double p50) {
  return {{"mean", p50}, {"p50", p50}, {"p90", 2 * p50}, {"p99", 3.5}, {"p99_9", 4.5}, {"max", 5}};
}

json open_loop() {
  json report = json::parse(R"({
    "schema_version": 1, "version": "0.1.0", "options": {"rate": 1000},
    "load": {
      "window_s": 1.5, "requests": 1480, "throughput_rps": 986.7, "offered_rps": 1000.0,
      "counts": {"intended": 1500, "sent": 1495, "answered": 1478, "failed": 12, "unfinished": 5,
                 "dropped": 4, "unsent": 1},
      "errors": {"connect": 1, "read": 2, "write": 3, "timeout": 4, "status": 6, "protocol": 2},
      "error_examples": {"read": "connection reset by peer"},
      "rejected": 6, "status_classes": {"1xx": 0, "2xx": 1472, "3xx": 0, "4xx": 0, "5xx": 6},
      "bytes_received": 190000, "connections_opened": 20, "reconnects": 4,
      "latency_histogram": "HISTFAAAA", "wait_histogram": "HISTFAAAB",
      "first_byte_histogram": "HISTFAAAC",
      "generator": {"cpu_utilization": 0.99, "busy_share": 0.4, "send_lag_us": 12.5,
                    "send_lag_p50_us": 1, "send_lag_max_us": 80, "threads": 1,
                    "pacing": "busy-poll", "cpus": [1]}
    },
    "warmup": {"duration_s": 0.5, "requests": 490, "errors": 0},
    "steady_state": {"steady": false, "reason": null,
                     "evidence": [{"series": "throughput", "kind": "step", "p_value": 0.001,
                                   "before": 1000, "after": 800, "at_s": 0.7}]},
    "time_series": {"interval_s": 0.1, "sent": [1], "answered": [1], "errors": [0],
                    "latency_mean_us": [null], "latency_max_us": [2], "in_flight": [1],
                    "backlog": [0]},
    "workers": [], "background": {"idle": {"open": 7, "closed_by_server": 1, "errors": 0}},
    "saturation": null, "validity": {"valid": true, "reasons": []}, "unmeasured": {}
  })");
  report["load"]["latency_us"] = quantiles(1.5);
  report["load"]["wait_us"] = quantiles(0.5);
  report["load"]["first_byte_us"] = quantiles(1);
  return report;
}

json closed_loop() {
  json report = open_loop();
  json& load = report["load"];
  for (const char* key : {"offered_rps", "wait_us", "wait_histogram"}) {
    load[key] = nullptr;
    report["unmeasured"][std::string("load.") + key] = "closed loop";
  }
  for (const char* key : {"send_lag_us", "send_lag_p50_us", "send_lag_max_us"}) {
    load["generator"][key] = nullptr;
    report["unmeasured"][std::string("load.generator.") + key] = "closed loop";
  }
  report["background"] = nullptr;
  report["unmeasured"]["background"] = "there were no background clients";
  return report;
}

BuiltinReport read(const json& report) {
  return read_builtin_report("{\"event\":\"window-end\"}\n" + report.dump() + "\n");
}

TEST(ReadBuiltinReport, TakesAnOpenLoop) {
  const BuiltinReport report = read(open_loop());
  EXPECT_EQ(report.requests, 1480U);
  EXPECT_EQ(report.window_s, 1.5);
  EXPECT_EQ(report.warmup_s, 0.5);
  const LoadResult& load = report.load;
  EXPECT_EQ(*load.offered_rps.value(), 1000);
  EXPECT_EQ(load.counts.value()->unfinished, 5U);
  EXPECT_EQ(*load.errors.protocol.value(), 2U);
  EXPECT_EQ(*load.rejected.value(), 6U);
  EXPECT_EQ(load.status_classes.value()->at("5xx"), 6);
  EXPECT_EQ(load.error_examples.value()->at("read"), "connection reset by peer");
  EXPECT_EQ(*load.latency_us.p50.value(), 1.5);
  EXPECT_EQ(*load.latency_us.max.value(), 5);
  EXPECT_EQ(*load.latency_histogram.value(), "HISTFAAAA");
  EXPECT_EQ(load.wait_us.value()->at("p50"), 0.5);
  EXPECT_EQ(*load.first_byte_histogram.value(), "HISTFAAAC");
  EXPECT_EQ(*load.generator.send_lag_us.value(), 12.5);
  EXPECT_EQ(*load.generator.pacing.value(), "busy-poll");
  EXPECT_EQ(load.steady_state.value()->at("steady"), false);
  EXPECT_EQ(load.time_series.value()->at("latency_max_us").at(0), 2);
  EXPECT_EQ(load.background.value()->at("idle").at("open"), 7);
}

TEST(ReadBuiltinReport, TellsHowGoodTheLoadWas) {
  const LoadQuality open = read(open_loop()).quality;
  EXPECT_DOUBLE_EQ(open.error_share, (12 + 6) / (1478.0 + 12));
  EXPECT_EQ(open.lost_connections, 0U);
  ASSERT_TRUE(open.rate);
  EXPECT_EQ(open.generator_busy, 0.4);
  EXPECT_EQ(open.rate->send_lag_us, 12.5);
  EXPECT_EQ(open.rate->intended, 1500U);
  EXPECT_EQ(open.rate->sent, 1495U);

  const LoadQuality closed = read(closed_loop()).quality;
  EXPECT_EQ(closed.generator_busy, 0.4);
  EXPECT_FALSE(closed.rate);
}

TEST(ReadBuiltinReport, TellsWhatAShutdownCost) {
  const ShutdownResult shutdown = read(open_loop()).shutdown;
  EXPECT_EQ(shutdown.answered, 1478U);
  EXPECT_EQ(shutdown.refused, 1U);
  EXPECT_EQ(shutdown.lost, 2U + 3 + 4 + 2 + 5);
}

TEST(ReadBuiltinReport, PassesOnThatTheBackgroundWasNotWhole) {
  EXPECT_TRUE(read(open_loop()).quality.background_missed.empty());
  json report = open_loop();
  report["validity"] = {{"valid", false},
                        {"reasons", {{{"code", "background-missed"}, {"message", "2 of 7"}}}}};
  EXPECT_EQ(read(report).quality.background_missed, "2 of 7");
}

TEST(ReadBuiltinReport, PassesOnWhyANumberIsMissing) {
  const BuiltinReport report = read(closed_loop());
  EXPECT_EQ(report.load.offered_rps.reason(), "closed loop");
  EXPECT_EQ(report.load.wait_us.reason(), "closed loop");
  EXPECT_EQ(report.load.generator.send_lag_us.reason(), "closed loop");
  EXPECT_EQ(report.load.background.reason(), "there were no background clients");
  json unanswered = closed_loop();
  unanswered["load"]["latency_us"] = nullptr;
  unanswered["unmeasured"]["load.latency_us"] = "no answer in the window";
  EXPECT_EQ(read(unanswered).load.latency_us.p99.reason(), "no answer in the window");
  json unexplained = closed_loop();
  unexplained["unmeasured"].clear();
  EXPECT_FALSE(read(unexplained).load.wait_us.reason().empty());
}

TEST(ReadBuiltinReport, RefusesWhatIsNoReport) {
  const auto message = [](const std::string& output) {
    try {
      read_builtin_report(output);
    } catch (const BuiltinReportError& error) {
      return std::string(error.what());
    }
    return std::string("taken");
  };
  for (const char* output :
       {"", "rubbish\n", "{\"event\":\"window-end\"}\n", "[]\n", "{\"load\""}) {
    EXPECT_EQ(message(output), "spawnpool-load gave no report") << output;
  }
  const std::function<void(json&)> faults[] = {
      [](json& report) { report["load"].erase("requests"); },
      [](json& report) { report["load"]["requests"] = "many"; },
      [](json& report) { report["load"]["errors"].erase("protocol"); },
      [](json& report) { report["load"]["window_s"] = nullptr; },
      [](json& report) { report["load"] = json::array(); },
      [](json& report) { report.erase("unmeasured"); }};
  for (const auto& fault : faults) {
    json report = open_loop();
    fault(report);
    EXPECT_EQ(message(report.dump()).find("spawnpool-load's report is incomplete"), 0U)
        << message(report.dump());
  }
  json report = open_loop();
  report["schema_version"] = 2;
  EXPECT_NE(message(report.dump()).find("another version"), std::string::npos);
}

}  // namespace
}  // namespace spawnpool::trial
