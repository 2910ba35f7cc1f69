// spawnpool-trial from outside, with real servers, real load and real signals.
#include "harness/trial/trial.hpp"

#include <gtest/gtest.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): kill of POSIX
#include <sys/prctl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "harness/cost/phases.hpp"
#include "harness/load/histogram.hpp"
#include "harness/trial/cpus.hpp"
#include "harness/trial/http_client.hpp"
#include "harness/trial/testing/trial_process.hpp"

namespace spawnpool::trial {
namespace {

using nlohmann::json;
using testing::await;
using testing::fixture_program;
using testing::fixture_spec;
using testing::gone;
using testing::Outcome;
using testing::run_trial;
using testing::TemporaryFolder;
using testing::TrialProcess;
using Codes = std::vector<std::string>;

// Keeps the server the bottleneck, whatever the machine is busy with.
const std::vector<std::string> steady = {"--work-us", "20"};

bool has_counter() {
  return std::filesystem::exists(testing::bin_folder() + "/../lib/libspawnpool_alloc.so");
}

std::string message(const Outcome& outcome) {
  return outcome.result.at("reasons").at(0).at("message");
}

void expect_failed(const Outcome& outcome, const std::string& code, const std::string& words) {
  ASSERT_FALSE(outcome.result.is_discarded())
      << outcome.out << ::testing::PrintToString(outcome.err);
  EXPECT_EQ(outcome.status.text(), "exited with status 1");
  EXPECT_EQ(outcome.result.at("status"), "failed");
  EXPECT_EQ(outcome.codes(), Codes{code});
  EXPECT_NE(message(outcome).find(words), std::string::npos) << message(outcome);
  EXPECT_TRUE(outcome.result.at("load").at("requests").is_null());
  EXPECT_TRUE(outcome.result.at("unmeasured").contains("load.requests"));
}

void expect_valid(const Outcome& outcome) {
  ASSERT_FALSE(outcome.result.is_discarded())
      << outcome.out << ::testing::PrintToString(outcome.err);
  EXPECT_EQ(outcome.result.at("reasons"), json::array());
  EXPECT_EQ(outcome.result.at("status"), "valid");
  EXPECT_TRUE(outcome.status.ok()) << outcome.status.text();
}

std::vector<pid_t> pids_in(const std::string& file) {
  std::ifstream stream(file);
  std::vector<pid_t> pids;
  pid_t pid = 0;
  while (stream >> pid) {
    pids.push_back(pid);
  }
  return pids;
}

TEST(Trial, MeasuresAForeignServer) {
  json spec = fixture_spec(steady);
  spec["warmup"] = "50ms";
  spec["duration"] = "1s";
  spec["block"] = 2;
  spec["position"] = 1;
  spec["seed"] = 42;
  const Outcome outcome = run_trial(spec);
  expect_valid(outcome);
  EXPECT_EQ(outcome.out.find('\n'), outcome.out.size() - 1) << "one line";
  const json& result = outcome.result;
  EXPECT_EQ(result.at("target"), "fixture");
  EXPECT_EQ(result.at("point"), spec["point"]);
  EXPECT_EQ(result.at("block"), 2);
  EXPECT_EQ(result.at("position"), 1);
  EXPECT_EQ(result.at("seed"), 42);
  EXPECT_EQ(result.at("check"),
            json::parse(R"({"status":200,"body_bytes":13,"response_bytes":56})"));
  EXPECT_GT(result.at("warmup_s"), 0.04);
  EXPECT_GT(result.at("window_s"), 0.04);

  const json& load = result.at("load");
  EXPECT_GT(load.at("requests"), 10);
  EXPECT_NEAR(load.at("throughput_rps").get<double>() * result.at("window_s").get<double>(),
              load.at("requests").get<double>(), 1e-3);
  const auto histogram = load::Histogram::decode(load.at("latency_histogram").get<std::string>());
  ASSERT_TRUE(histogram);
  EXPECT_EQ(histogram->count(), load.at("requests").get<std::uint64_t>());
  const json& latency = load.at("latency_us");
  EXPECT_GE(latency.at("p50"), 20);
  EXPECT_LE(latency.at("p50"), latency.at("p90"));
  EXPECT_LE(latency.at("p90"), latency.at("p99"));
  EXPECT_LE(latency.at("p99"), latency.at("p99_9"));
  EXPECT_LE(latency.at("p99_9"), latency.at("max"));

  const json& server = result.at("server");
  EXPECT_GE(server.at("cpu_us_per_request"), 20);
  EXPECT_GE(server.at("threads_peak"), 2 + 4);
  EXPECT_GT(server.at("rss_peak_bytes"), 100'000);
}

TEST(Trial, MeasuresAConnectionPerRequest) {
  json spec = fixture_spec(steady);
  spec["scenario"]["requests_per_connection"] = 1;
  const Outcome outcome = run_trial(spec);
  expect_valid(outcome);
  EXPECT_EQ(outcome.result.at("load").at("errors").at("read"), 0);
}

TEST(Trial, SendsTheRequestItWasGiven) {
  json spec = fixture_spec({"--echo-request", "--work-us", "20"});
  spec["scenario"]["request"] = {{"method", "POST"},
                                 {"path", "/a?b=\"c\""},
                                 {"headers", {{"X-Name", "va\"l\\ue"}}},
                                 {"body", "line\n]]\\0\""}};
  const std::uint16_t port = free_port();
  spec["target"]["command"][2] = std::to_string(port);
  spec["target"]["port"] = port;
  // The answer is the request; one that differs from the checked one is a status of 400 under load.
  spec["scenario"]["expect"]["body"] =
      request_bytes({"POST", "/a?b=\"c\"", {{"X-Name", "va\"l\\ue"}}, "line\n]]\\0\""},
                    {"127.0.0.1", port}, false);
  const Outcome outcome = run_trial(spec);
  expect_valid(outcome);
  EXPECT_EQ(outcome.result.at("load").at("errors").at("status"), 0);
}

// Where the servers were built with SPAWNPOOL_PHASES.
void expect_phases_to_add_up(const json& allocations) {
  if (allocations.at("by_phase").is_null()) {
    return;
  }
  for (const char* cost :
       {"per_request", "per_connection", "bytes_per_request", "bytes_per_connection"}) {
    double sum = 0;
    for (const json& phase : allocations.at("by_phase")) {
      sum += phase.at(cost).get<double>();
    }
    EXPECT_NEAR(sum, allocations.at(cost).get<double>(), 1e-6) << cost;
  }
  EXPECT_EQ(allocations.at("by_phase").size(), cost::phase_count);
}

TEST(Trial, MeasuresOurServers) {
  for (const char* model : {"thread-per-connection", "worker-pool"}) {
    json spec = fixture_spec();
    spec["target"] = {{"name", model}, {"model", model}, {"options", json::array()}};
    spec["accounting"] = {{"connections", 4}, {"requests_per_connection", 5}};
    const Outcome outcome = run_trial(spec);
    ASSERT_FALSE(outcome.result.is_discarded()) << ::testing::PrintToString(outcome.err);
    EXPECT_NE(outcome.result.at("status"), "failed") << outcome.result.at("reasons");
    EXPECT_GT(outcome.result.at("server").at("threads_started"), 0) << model;
    const json& allocations = outcome.result.at("server").at("allocations");
    EXPECT_EQ(allocations.at("per_request").is_number(), has_counter());
    if (has_counter()) {
      expect_phases_to_add_up(allocations);
      EXPECT_GE(allocations.at("heap_peak_bytes"), allocations.at("heap_live_bytes"));
      EXPECT_GT(allocations.at("heap_live_bytes"), 0);
      EXPECT_GT(allocations.at("stack_bytes_started"), 0);
    }
  }
}

TEST(Trial, ReadsTheReadyAndTheExitLine) {
  json spec = fixture_spec();
  spec["target"] = {{"name", "fixture"},
                    {"command", {fixture_program(), "--ready-line", "--work-us", "20"}},
                    {"ready_line", true}};
  const Outcome outcome = run_trial(spec);
  expect_valid(outcome);
  EXPECT_EQ(outcome.result.at("server").at("threads_started"), 7);
}

TEST(Trial, TakesTheCpusItIsTold) {
  json spec = fixture_spec(steady);
  spec["cpus"] = {{"server", {0}}, {"generator", {0}}};
  const Outcome outcome = run_trial(spec);
  expect_valid(outcome);
  EXPECT_EQ(outcome.result.at("cpus"),
            json::parse(R"({"server":[0],"generator":[0],"shared":true})"));
}

// --- the accounting pass

TEST(Accounting, IsExactAndRepeatable) {
  if (!has_counter()) {  // under a sanitizer: then the result has to say so
    json spec = fixture_spec(steady);
    spec["accounting"] = {{"connections", 3}, {"requests_per_connection", 4}};
    const Outcome outcome = run_trial(spec);
    expect_valid(outcome);
    EXPECT_NE(outcome.result.at("unmeasured")
                  .at("server.allocations.per_request")
                  .get<std::string>()
                  .find("libspawnpool_alloc.so"),
              std::string::npos);
    return;
  }
  const auto allocations = [](const std::vector<std::string>& options) {
    json spec = fixture_spec(steady);
    for (const std::string& option : options) {
      spec["target"]["command"].push_back(option);
    }
    spec["accounting"] = {{"connections", 10}, {"requests_per_connection", 20}};
    const Outcome outcome = run_trial(spec);
    expect_valid(outcome);
    EXPECT_EQ(outcome.result.at("unmeasured").at("server.allocations.by_phase"),
              "the target marks no phases");
    json counted = outcome.result.at("server").at("allocations");
    EXPECT_EQ(counted.at("source"), "interposer");
    EXPECT_GE(counted.at("heap_peak_bytes"), counted.at("heap_live_bytes"));
    counted.erase("heap_peak_bytes");  // to some bytes only
    return counted;
  };
  const json plain = allocations({});
  EXPECT_EQ(allocations({}), plain);
  const json more = allocations({"--allocate", "100", "--allocate-per-connection", "5000"});
  const auto added = [&](const char* key) {
    return more.at(key).get<double>() - plain.at(key).get<double>();
  };
  EXPECT_EQ(added("per_request"), 1);
  EXPECT_EQ(added("bytes_per_request"), 100);
  EXPECT_EQ(added("per_connection"), 1);
  EXPECT_EQ(added("bytes_per_connection"), 5000);
}

TEST(Accounting, KnowsTheHeapOfASingleProcessOnly) {
  json spec = fixture_spec();
  spec["target"]["command"] = {"sh", "-c", "\"$0\" --work-us 20 --port {port}; exit $?",
                               fixture_program()};
  spec["accounting"] = {{"connections", 3}, {"requests_per_connection", 4}};
  const json result = run_trial(spec).result;
  ASSERT_FALSE(result.is_discarded());
  const json& allocations = result.at("server").at("allocations");
  EXPECT_EQ(allocations.at("per_request").is_number(), has_counter());
  EXPECT_TRUE(allocations.at("heap_live_bytes").is_null());
  if (has_counter()) {
    EXPECT_EQ(result.at("unmeasured").at("server.allocations.heap_peak_bytes"),
              "the target has 2 processes, each with a heap of its own");
  }
}

TEST(Accounting, ReportsATargetThatTellsNoMemstatsThoughItSaysSo) {
  const TemporaryFolder folder;
  const std::string port = std::to_string(free_port());
  json spec = fixture_spec();
  // Without the counter: else that counts, and nobody asks the target.
  spec["target"] = {
      {"name", "x"},
      {"command",
       {"env", "-u", "LD_PRELOAD", "sh", "-c",
        "trap 'echo {}' USR1; rm -f \"$1\"; \"$0\" --work-us 20 --port \"$2\" --pid-file \"$1\" & "
        "while ! test -e \"$1\"; do :; done; "
        "echo '{\"event\":\"ready\",\"port\":'\"$2\"',\"memstats_signal\":10}'; "
        "while :; do wait; done",
        fixture_program(), folder.file("pids"), port}},
      {"ready_line", true}};
  spec["accounting"] = {{"connections", 3}, {"requests_per_connection", 4}};
  const Outcome outcome = run_trial(spec);
  ASSERT_FALSE(outcome.result.is_discarded()) << ::testing::PrintToString(outcome.err);
  if (!has_counter()) {
    expect_valid(outcome);
    return;
  }
  EXPECT_EQ(outcome.codes(), Codes{"accounting-failed"});
  EXPECT_NE(message(outcome).find("no memstats line"), std::string::npos) << message(outcome);
}

TEST(Accounting, ReportsATargetThatFailsInIt) {
  json spec = fixture_spec();
  spec["target"]["command"] = {
      "sh", "-c",
      "test -z \"$SPAWNPOOL_ALLOC_FD\" || exit 5; exec \"$0\" --work-us 20 --port {port}",
      fixture_program()};
  spec["accounting"] = {{"connections", 3}, {"requests_per_connection", 4}};
  const Outcome outcome = run_trial(spec);
  if (!has_counter()) {
    expect_valid(outcome);
    return;
  }
  EXPECT_EQ(outcome.codes(), Codes{"accounting-failed"});
  EXPECT_EQ(outcome.result.at("status"), "invalid");
  EXPECT_NE(message(outcome).find("exited with status 5"), std::string::npos) << message(outcome);
  EXPECT_GT(outcome.result.at("load").at("requests"), 0);
}

TEST(Accounting, CannotTellCostsApartWithoutKeptConnections) {
  json spec = fixture_spec({"--work-us", "20", "--always-close"});
  spec["scenario"]["requests_per_connection"] = 1;
  spec["accounting"] = {{"connections", 3}, {"requests_per_connection", 4}};
  const Outcome outcome = run_trial(spec);
  expect_valid(outcome);
  EXPECT_TRUE(outcome.result.at("server").at("allocations").at("per_request").is_null());
}

// --- what a target can do wrong

TEST(FailedTrial, TargetNotStarted) {
  json spec = fixture_spec();
  spec["target"]["command"] = {"/no/such/server", "{port}"};
  expect_failed(run_trial(spec), "target-not-started", "/no/such/server");
}

TEST(FailedTrial, TargetDiedBeforeReady) {
  const Outcome outcome =
      run_trial(fixture_spec({"--exit-at-start", "3", "--complaint", "first\nno licence found"}));
  expect_failed(outcome, "target-died-before-ready", "exited with status 3");
  EXPECT_EQ(outcome.result.at("target_stderr"), (json{"first", "no licence found"}));
}

TEST(FailedTrial, TargetThatGoesToTheBackground) {
  const TemporaryFolder folder;
  json spec = fixture_spec();
  spec["target"]["command"] = {"sh", "-c",
                               "setsid \"$0\" --port {port} --pid-file " + folder.file("pids") +
                                   " & while ! test -e " + folder.file("pids") +
                                   "; do :; done; exit 0",
                               fixture_program()};
  const Outcome outcome = run_trial(spec);
  ASSERT_FALSE(outcome.result.is_discarded());
  for (const pid_t pid : pids_in(folder.file("pids"))) {
    EXPECT_TRUE(pid == 0 || gone(pid));
  }
  EXPECT_EQ(outcome.result.at("status"), "failed");
}

TEST(FailedTrial, TargetNotReady) {
  json spec = fixture_spec({"--never-listen"});
  spec["limits"] = {{"ready", "100ms"}};
  expect_failed(run_trial(spec), "target-not-ready", "not ready after 100ms");

  spec["target"] = {
      {"name", "x"}, {"command", {"sh", "-c", "echo hello; sleep 1000"}}, {"ready_line", true}};
  expect_failed(run_trial(spec), "target-not-ready", "no ready line with a port: \"hello\"");
}

TEST(FailedTrial, PortInUse) {
  json other = fixture_spec();
  const std::uint16_t port = free_port();
  Waiter waiter;
  Guard guard;
  ChildOptions options;
  options.argv = {fixture_program(), "--port", std::to_string(port)};
  const ChildProcess server(waiter, guard, options);
  ASSERT_TRUE(await([&] {
    return accepts_connections(waiter, {"127.0.0.1", port}, Clock::now() + std::chrono::seconds(1));
  }));
  json spec = fixture_spec();
  spec["target"] = {{"name", "x"},
                    {"command", {fixture_program(), "--port", std::to_string(port)}},
                    {"port", port}};
  expect_failed(run_trial(spec), "port-in-use", "port " + std::to_string(port) + " is in use");
}

TEST(FailedTrial, WrongAnswer) {
  const struct {
    std::vector<std::string> options;
    unsigned requests_per_connection;
    const char* words;
  } cases[] = {
      {{"--body", "Hello, world!"}, 0, "from byte 7 on it is \"world!\", expected \"World!\""},
      {{"--body", "Hello, World!!"}, 0, "14 bytes, expected 13"},
      {{"--status", "404"}, 0, "status 404, expected 200"},
      {{"--garbage"}, 0, "no HTTP"},
      {{"--truncate"}, 0, "the connection ended after"},
      {{"--close-silently"}, 0, "the connection ended after 0 bytes"},
      {{"--always-close"}, 0, "closes a connection that was to be kept"},
      {{"--never-close"}, 1, "keeps the connection"},
  };
  for (const auto& one : cases) {
    json spec = fixture_spec(one.options);
    spec["scenario"]["requests_per_connection"] = one.requests_per_connection;
    expect_failed(run_trial(spec), "wrong-answer", one.words);
  }
}

TEST(FailedTrial, TargetDiedUnderLoad) {
  const Outcome outcome = run_trial(fixture_spec({"--die-after", "30", "--complaint", "warned"}));
  expect_failed(outcome, "target-died-under-load", "was killed by SIGKILL");
  EXPECT_EQ(outcome.result.at("target_stderr"), json{"warned"});
  EXPECT_FALSE(outcome.result.at("check").is_null());
}

TEST(FailedTrial, TargetKilledInTheMiddle) {
  json spec = fixture_spec(steady);
  spec["duration"] = "1h";
  TrialProcess trial(spec.dump());
  ASSERT_NE(trial.await_descendant("wrk"), 0);
  kill(trial.await_descendant("spawnpool-fixtu"), SIGKILL);
  expect_failed(trial.wait(), "target-died-under-load", "was killed by SIGKILL under load");
}

TEST(FailedTrial, TargetThatAnswersNothingUnderLoad) {
  expect_failed(run_trial(fixture_spec({"--stall-after", "2"})), "error-share", "not one request");
}

TEST(FailedTrial, TargetThatGetsStuckOnTheWay) {
  json spec = fixture_spec({"--stall-after", "50"});
  spec["timeout"] = "1s";
  expect_failed(run_trial(spec), "wrong-answer", "after the load: no whole answer in time");
}

TEST(InvalidTrial, ErrorShare) {
  // Answers 503 as long as all four connections are there, which the checks never see.
  const Outcome outcome = run_trial(fixture_spec({"--crowd", "3", "--work-us", "20"}));
  EXPECT_EQ(outcome.codes(), Codes{"error-share"});
  EXPECT_EQ(outcome.result.at("status"), "invalid");
  EXPECT_EQ(outcome.status.text(), "exited with status 1");
  EXPECT_GT(outcome.result.at("load").at("errors").at("status"), 0);
}

TEST(InvalidTrial, RejectedConnections) {
  // A server that is full answers 503 before it has seen a request.
  json spec = fixture_spec();
  spec["target"] = {{"name", "small"}, {"model", "worker-pool"}, {"options", {"--workers", "1"}}};
  spec["scenario"]["request"]["path"] = "/plaintext";
  spec["scenario"]["expect"]["body"] = "Hello, World!";
  spec["scenario"]["requests_per_connection"] = 1;
  spec["point"]["connections"] = 16;
  const Outcome outcome = run_trial(spec);
  EXPECT_EQ(outcome.result.at("status"), "invalid");
  EXPECT_EQ(outcome.codes().at(0), "error-share") << outcome.result.at("reasons");
  EXPECT_GT(outcome.result.at("load").at("errors").at("status"), 0);
}

TEST(InvalidTrial, GeneratorBound) {
  // Chunks of one byte are sent in one call and parsed one by one. Whether the machine leaves the
  // generator its whole core is not the test's to say, but what follows from it is.
  json spec = fixture_spec({"--chunks", "5000"});
  spec["scenario"]["expect"]["body"] = std::string(5000, 'x');
  spec["point"]["connections"] = 16;
  const json result = run_trial(spec).result;
  const bool bound = result.at("load").at("generator").at("cpu_utilization") >= 0.97 &&
                     result.at("machine").at("server_idle_share") > 0.10 &&
                     !result.at("cpus").at("shared").get<bool>();
  EXPECT_EQ(result.at("status"), bound ? "invalid" : "valid") << result.at("reasons");
  EXPECT_EQ(result.at("reasons").empty(), !bound);
  if (bound) {
    EXPECT_EQ(result.at("reasons").at(0).at("code"), "generator-bound");
  }
}

TEST(InvalidTrial, OthersUsedItsCores) {
  json spec = fixture_spec();
  spec["cpus"] = {{"server", {affinity_mask().front()}}, {"generator", {affinity_mask().back()}}};
  Waiter waiter;
  Guard guard;
  ChildOptions options;
  options.argv = {"sh", "-c", "while :; do :; done"};
  options.cpus = {affinity_mask().front()};
  const ChildProcess disturber(waiter, guard, options);

  spec["limits"] = {{"foreign_cpu_share", 1.0}, {"steal_share", 1.0}};
  const Outcome tolerant = run_trial(spec);
  expect_valid(tolerant);
  const double limit = 0.02;
  EXPECT_GT(tolerant.result.at("machine").at("foreign_cpu_share"), limit);

  spec["limits"] = {{"foreign_cpu_share", limit}};
  const Outcome strict = run_trial(spec);
  EXPECT_EQ(strict.codes(), Codes{"foreign-cpu"});
  EXPECT_EQ(strict.result.at("status"), "invalid");
  EXPECT_NE(message(strict).find("allowed are 2.00 % (limits.foreign_cpu_share)"),
            std::string::npos)
      << message(strict);
  EXPECT_GT(strict.result.at("load").at("requests"), 0) << "what was measured stays";
}

// Whether the hypervisor steals is not the test's to say, but what follows from it is.
TEST(InvalidTrial, TheHypervisorStoleFromItsCores) {
  json spec = fixture_spec(steady);
  spec["limits"] = {{"steal_share", 0.0}};
  const Outcome outcome = run_trial(spec);
  ASSERT_FALSE(outcome.result.is_discarded()) << ::testing::PrintToString(outcome.err);
  const bool stolen = outcome.result.at("machine").at("steal_share") > 0;
  EXPECT_EQ(outcome.codes(), stolen ? Codes{"steal"} : Codes{}) << outcome.result.at("reasons");
  EXPECT_EQ(outcome.result.at("status"), stolen ? "invalid" : "valid");
}

TEST(InvalidTrial, TargetDidNotStop) {
  json spec = fixture_spec({"--ignore-sigterm", "--work-us", "20"});
  spec["limits"] = {{"stop", "50ms"}};
  const Outcome outcome = run_trial(spec);
  EXPECT_EQ(outcome.codes(), Codes{"target-did-not-stop"});
  EXPECT_EQ(outcome.result.at("status"), "invalid");
  EXPECT_GT(outcome.result.at("load").at("requests"), 0);
}

// --- what the driver can do wrong

TEST(FailedTrial, DriverKilled) {
  json spec = fixture_spec(steady);
  spec["duration"] = "1h";
  TrialProcess trial(spec.dump());
  kill(trial.await_descendant("wrk"), SIGKILL);
  expect_failed(trial.wait(), "driver-failed", "wrk was killed by SIGKILL");
}

TEST(FailedTrial, DriverThatTalksRubbish) {
  const TemporaryFolder folder;
  folder.write("wrk", "#!/bin/sh\ntrap 'echo rubbish; exit 0' INT\nsleep 1000 & wait\n", true);
  expect_failed(run_trial(fixture_spec(), {"PATH=" + folder.file("") + ":/usr/bin:/bin"}),
                "driver-failed", "wrk gave no report");
}

// wrk's main thread has to take the signal, whichever of its threads runs when it comes.
TEST(FailedTrial, DriverThatTellsToWhichThreadItsSignalWasSent) {
  const TemporaryFolder folder;
  folder.write("wrk", R"py(#!/usr/bin/python3
import re, signal, sys, time
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
signal.signal(signal.SIGINT, lambda *_: None)
pending = {}
while not any(pending.values()):
    time.sleep(0.01)
    status = open("/proc/self/status").read()
    pending = {name: int(bits, 16) for name, bits in re.findall(r"(...Pnd):\s*(\w+)", status)}
print("to a thread" if pending["SigPnd"] else "to the process", file=sys.stderr)
)py",
               true);
  expect_failed(run_trial(fixture_spec(), {"PATH=" + folder.file("") + ":/usr/bin:/bin"}),
                "driver-failed", "to a thread");
}

TEST(FailedTrial, DriverThatEndsEarly) {
  const TemporaryFolder folder;
  folder.write("wrk", "#!/bin/sh\necho out of luck >&2\nexit 3\n", true);
  expect_failed(run_trial(fixture_spec(), {"PATH=" + folder.file("") + ":/usr/bin:/bin"}),
                "driver-failed", "wrk exited with status 3 too early: out of luck");
}

// --- what the user can do wrong

void expect_usage_error(const Outcome& outcome, const std::string& words) {
  EXPECT_EQ(outcome.status.text(), "exited with status 2");
  EXPECT_EQ(outcome.out, "");
  ASSERT_EQ(outcome.err.size(), 1U) << ::testing::PrintToString(outcome.err);
  EXPECT_NE(outcome.err[0].find(words), std::string::npos) << outcome.err[0];
}

TEST(Usage, MistakesInTheSpecification) {
  json spec = fixture_spec();
  spec["nope"] = 1;
  expect_usage_error(run_trial(spec), "nope: unknown key");
  expect_usage_error(TrialProcess("{").wait(), "no JSON");
  spec = fixture_spec();
  spec["cpus"] = {{"server", {1023}}, {"generator", {0}}};
  expect_usage_error(run_trial(spec), "CPU 1023 is not to be had");
}

TEST(Usage, MissingWrk) {
  expect_usage_error(run_trial(fixture_spec(), {"PATH=/nonexistent"}), "apt-get install wrk");
}

TEST(Usage, CommandLine) {
  const auto run = [](const std::vector<std::string>& arguments) {
    Waiter waiter;
    Guard guard;
    ChildOptions options;
    options.argv = {testing::bin_folder() + "/spawnpool-trial"};
    options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
    options.capture_stdout = true;
    ChildProcess process(waiter, guard, options);
    Outcome outcome;
    outcome.status = process.wait_exit(Clock::now() + std::chrono::seconds(20)).value();
    outcome.out = process.out().text();
    outcome.err = process.err().last_lines(5);
    return outcome;
  };
  expect_usage_error(run({}), "SPEC");
  expect_usage_error(run({"/no/such/spec.json"}), "cannot read '/no/such/spec.json'");
  expect_usage_error(run({"-"}), "no JSON");  // an empty standard input
  EXPECT_TRUE(run({"--help"}).status.ok());
  EXPECT_EQ(run({"--version"}).out.find("spawnpool-trial "), 0U);
}

// --- what others can do to it: nothing may be left

class Orphans : public ::testing::Test {
 protected:
  // A trial in the middle of its load, whose target has a child and a daemon.
  void begin(const std::string& option) {
    json spec = fixture_spec({"--work-us", "20", option, "--pid-file", folder_.file("pids")});
    spec["duration"] = "1h";
    trial_ = std::make_unique<TrialProcess>(spec.dump());
    ASSERT_NE(trial_->await_descendant("wrk"), 0);
    for (const auto& [pid, name] : testing::descendants(trial_->pid())) {
      processes_.push_back(pid);
    }
    ASSERT_EQ(processes_.size(), 4U) << "guard, target, its child, wrk";
  }

  void expect_nothing_left() {
    for (const pid_t pid : processes_) {
      EXPECT_TRUE(await([pid] { return gone(pid); })) << pid;
    }
  }

  TemporaryFolder folder_;
  std::unique_ptr<TrialProcess> trial_;
  std::vector<pid_t> processes_;
};

TEST_F(Orphans, NoneAfterSigterm) {
  begin("--child");
  kill(trial_->pid(), SIGTERM);
  const Outcome outcome = trial_->wait();
  for (const pid_t pid : processes_) {
    EXPECT_TRUE(gone(pid));  // at once, not only soon
  }
  EXPECT_EQ(outcome.status.text(), "exited with status 143");
  EXPECT_EQ(outcome.out, "");
}

TEST_F(Orphans, NoneAfterSigint) {
  begin("--daemon");
  kill(trial_->pid(), SIGINT);
  const Outcome outcome = trial_->wait();
  for (const pid_t pid : processes_) {
    EXPECT_TRUE(gone(pid));
  }
  EXPECT_EQ(outcome.status.text(), "exited with status 130");
  EXPECT_EQ(outcome.out, "");
}

TEST_F(Orphans, NoneAfterSigkill) {
  begin("--child");
  kill(trial_->pid(), SIGKILL);
  expect_nothing_left();
}

TEST_F(Orphans, NoDaemonAfterSigkill) {
  begin("--daemon");
  kill(trial_->pid(), SIGKILL);
  expect_nothing_left();
}

TEST_F(Orphans, NoneWhenWhoeverStartedTheTrialDies) {
  json spec = fixture_spec(steady);
  spec["duration"] = "1h";
  const std::string file = folder_.write("spec.json", spec.dump());
  Waiter waiter;
  Guard guard;
  ChildOptions options;
  // In a session of its own, so that only the death of its parent reaches the trial.
  options.argv = {"sh", "-c", "setsid \"$0\" \"$1\" & wait",
                  testing::bin_folder() + "/spawnpool-trial", file};
  ChildProcess starter(waiter, guard, options);
  ASSERT_TRUE(await([&] {
    processes_.clear();
    bool loaded = false;
    for (const auto& [pid, name] : testing::descendants(starter.pid())) {
      processes_.push_back(pid);
      loaded = loaded || name == "wrk";
    }
    return loaded;
  }));
  ASSERT_EQ(processes_.size(), 4U) << "trial, guard, target, wrk";
  kill(starter.pid(), SIGKILL);
  expect_nothing_left();
}

}  // namespace
}  // namespace spawnpool::trial
