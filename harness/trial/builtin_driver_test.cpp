// spawnpool-trial with the driver builtin, from outside: real servers, real load, real signals.
#include "harness/trial/builtin_driver.hpp"

#include <gtest/gtest.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): kill of POSIX
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "harness/load/histogram.hpp"
#include "harness/trial/http_client.hpp"
#include "harness/trial/testing/trial_process.hpp"

namespace spawnpool::trial {
namespace {

using nlohmann::json;
using testing::await;
using testing::bin_folder;
using testing::fixture_spec;
using testing::gone;
using testing::Outcome;
using testing::run_trial;
using testing::TemporaryFolder;
using testing::TrialProcess;
using Codes = std::vector<std::string>;

// Keeps the server the bottleneck, whatever the machine is busy with.
const std::vector<std::string> steady = {"--work-us", "20"};
constexpr const char* models[] = {"thread-per-connection", "worker-pool"};

json builtin_spec(const std::vector<std::string>& options = steady) {
  json spec = fixture_spec(options);
  spec["driver"] = "builtin";
  return spec;
}

// Of one of our servers, which has to work for its answers.
json model_spec(const std::string& model) {
  json spec = builtin_spec();
  spec["target"] = {{"name", model}, {"model", model}, {"options", json::array()}};
  spec["scenario"]["request"]["path"] = "/plaintext";
  return spec;
}

// The generator polls on a core of its own.
std::string expected_pacing(const Outcome& outcome) {
  return outcome.result.at("cpus").at("shared").get<bool>() ? "sleep" : "busy-poll";
}

std::string told(const Outcome& outcome) {
  return outcome.out + ::testing::PrintToString(outcome.err);
}

const json& load_of(const Outcome& outcome) {
  return outcome.result.at("load");
}

std::uint64_t number(const json& value) {
  return value.get<std::uint64_t>();
}

void expect_reconciled(const json& load) {
  const json& counts = load.at("counts");
  EXPECT_EQ(number(counts.at("intended")),
            number(counts.at("sent")) + number(counts.at("dropped")) + number(counts.at("unsent")));
  EXPECT_EQ(number(counts.at("sent")), number(counts.at("answered")) + number(counts.at("failed")) +
                                           number(counts.at("unfinished")));
}

// Valid, as far as the machine left the generator its core, which is not the test's to say.
void expect_measured(const Outcome& outcome) {
  ASSERT_FALSE(outcome.result.is_discarded()) << told(outcome);
  for (const std::string& code : outcome.codes()) {
    EXPECT_EQ(code, "generator-bound") << told(outcome);
  }
  EXPECT_EQ(outcome.result.at("status"), outcome.codes().empty() ? "valid" : "invalid");
  EXPECT_EQ(outcome.result.at("driver"), "builtin");
  const json& load = load_of(outcome);
  EXPECT_GT(load.at("requests"), 0);
  for (const auto& [name, count] : load.at("errors").items()) {
    EXPECT_EQ(count, 0) << name << load.at("error_examples");
  }
  expect_reconciled(load);
}

void expect_failed(const Outcome& outcome, const std::string& code, const std::string& words) {
  ASSERT_FALSE(outcome.result.is_discarded()) << told(outcome);
  EXPECT_EQ(outcome.result.at("status"), "failed");
  ASSERT_EQ(outcome.codes(), Codes{code}) << told(outcome);
  const std::string message = outcome.result.at("reasons").at(0).at("message");
  EXPECT_NE(message.find(words), std::string::npos) << message;
  EXPECT_TRUE(load_of(outcome).at("requests").is_null());
}

// --- loads

TEST(BuiltinTrial, MeasuresBothModels) {
  for (const char* model : models) {
    json spec = model_spec(model);
    spec["warmup"] = "50ms";
    spec["accounting"] = {{"connections", 4}, {"requests_per_connection", 5}};
    const Outcome outcome = run_trial(spec);
    expect_measured(outcome);
    const json& result = outcome.result;
    EXPECT_GE(result.at("warmup_s"), 0.05);  // never shorter than asked for
    EXPECT_GE(result.at("window_s"), 0.2);
    const json& load = load_of(outcome);
    EXPECT_NEAR(load.at("throughput_rps").get<double>() * result.at("window_s").get<double>(),
                load.at("requests").get<double>(), 1e-3);
    const auto histogram = load::Histogram::decode(load.at("latency_histogram").get<std::string>());
    ASSERT_TRUE(histogram);
    EXPECT_EQ(histogram->count(), number(load.at("counts").at("answered")));
    EXPECT_EQ(load.at("status_classes").at("2xx"), load.at("counts").at("answered"));
    EXPECT_LE(load.at("latency_us").at("p50"), load.at("latency_us").at("max"));
    EXPECT_LE(load.at("first_byte_us").at("p50"), load.at("first_byte_us").at("max"));
    EXPECT_EQ(load.at("generator").at("pacing"), expected_pacing(outcome));
    EXPECT_FALSE(load.at("time_series").at("answered").empty());
    EXPECT_TRUE(load.at("steady_state").contains("steady"));
    for (const char* path : {"load.offered_rps", "load.wait_us", "load.generator.send_lag_us",
                             "load.background", "shutdown"}) {
      EXPECT_TRUE(result.at("unmeasured").contains(path)) << path;
    }
    const json& server = result.at("server");
    EXPECT_GT(server.at("cpu_us_per_request"), 0);
    EXPECT_GT(server.at("rss_peak_bytes"), 100'000);
    EXPECT_GE(server.at("threads_peak"), 4);
    EXPECT_GT(server.at("threads_started"), 0);
    // Four threads on one core. A request waits for a client and perhaps for a turn, a few times.
    EXPECT_GT(server.at("context_switches_per_request"), 0);
    EXPECT_LT(server.at("context_switches_per_request"), 100);
    EXPECT_GE(server.at("page_faults_per_request"), 0);
    EXPECT_LT(server.at("page_faults_per_request"), 100);
  }
}

// Bodies whose memory comes from the kernel page by page: malloc is told to keep none of it.
TEST(BuiltinTrial, CountsThePageFaultsOfARequest) {
  constexpr std::size_t size = 256 * 1024;
  const std::string body(size, 'x');
  for (const char* model : models) {
    json spec = model_spec(model);
    spec["target"]["options"] = {"--memory", "fresh"};
    spec["scenario"]["request"] = {{"method", "POST"}, {"path", "/echo"}, {"body", body}};
    spec["scenario"]["expect"]["body"] = body;
    const Outcome outcome = run_trial(spec, {"MALLOC_MMAP_THRESHOLD_=131072"});
    expect_measured(outcome);
    const double faults = outcome.result.at("server").at("page_faults_per_request");
    const auto pages = static_cast<double>(size) / static_cast<double>(sysconf(_SC_PAGESIZE));
    EXPECT_GE(faults, 0.9 * pages);  // a request may lie partly outside the window
    EXPECT_LT(faults, 10 * pages);
  }
}

TEST(BuiltinTrial, SendsTheRequestItWasGiven) {
  for (const unsigned requests_per_connection : {0U, 1U}) {
    json spec = builtin_spec({"--echo-request", "--work-us", "20"});
    const RequestSpec request{
        "POST", "/a?b=\"c\"", {{"-X-Dash", "d"}, {"X-Name", "va\"l\\ue"}}, "line\n]]\\0\"\r\n\r\n"};
    spec["scenario"]["request"] = {{"method", request.method},
                                   {"path", request.path},
                                   {"headers", request.headers},
                                   {"body", request.body}};
    spec["scenario"]["requests_per_connection"] = requests_per_connection;
    const std::uint16_t port = free_port();
    spec["target"]["command"][2] = std::to_string(port);
    spec["target"]["port"] = port;
    // The answer is the request; one that differs from the checked one is a status of 400.
    spec["scenario"]["expect"]["body"] =
        request_bytes(request, {"127.0.0.1", port}, requests_per_connection == 1);
    expect_measured(run_trial(spec));
  }
}

TEST(BuiltinTrial, OffersARate) {
  for (const char* arrivals : {"poisson", "uniform"}) {
    json spec = builtin_spec();
    spec["point"]["rate"] = 400;
    spec["point"]["arrivals"] = arrivals;
    spec["seed"] = 7;
    const Outcome outcome = run_trial(spec);
    expect_measured(outcome);
    const json& load = load_of(outcome);
    EXPECT_GT(load.at("offered_rps"), 200);
    EXPECT_LT(load.at("offered_rps"), 600);
    EXPECT_LE(load.at("wait_us").at("p50"), load.at("wait_us").at("max"));
    EXPECT_TRUE(load::Histogram::decode(load.at("wait_histogram").get<std::string>()));
    const json& generator = load.at("generator");
    EXPECT_TRUE(generator.at("busy_share").is_number());
    EXPECT_LE(generator.at("send_lag_p50_us"), generator.at("send_lag_us"));
    EXPECT_LE(generator.at("send_lag_us"), generator.at("send_lag_max_us"));
    EXPECT_EQ(generator.at("pacing"), expected_pacing(outcome));
  }
}

TEST(BuiltinTrial, SleepsOnASharedCore) {
  json spec = builtin_spec();
  spec["point"]["rate"] = 400;
  spec["cpus"] = {{"server", {0}}, {"generator", {0}}};
  const Outcome outcome = run_trial(spec);
  expect_measured(outcome);
  EXPECT_EQ(load_of(outcome).at("generator").at("pacing"), "sleep");
}

TEST(BuiltinTrial, ComesInBursts) {
  json spec = builtin_spec();
  spec["point"]["burst"] = {{"size", 5}, {"every", "50ms"}};
  const Outcome outcome = run_trial(spec);
  expect_measured(outcome);
  const std::uint64_t intended = number(load_of(outcome).at("counts").at("intended"));
  EXPECT_EQ(intended % 5, 0U);
  EXPECT_GE(intended, 15U);
  EXPECT_LE(intended, 20U);
}

TEST(BuiltinTrial, HasBackgroundClients) {
  json spec = builtin_spec();
  spec["point"]["background"] = {
      {"idle", 3}, {"slow_senders", 2}, {"slow_readers", 1}, {"bytes_per_second", 50}};
  const Outcome outcome = run_trial(spec);
  expect_measured(outcome);
  const json& background = load_of(outcome).at("background");
  EXPECT_EQ(background.at("idle").at("open"), 3);
  EXPECT_EQ(background.at("slow_senders").at("open"), 2);
  EXPECT_TRUE(background.contains("slow_readers"));
  EXPECT_GE(outcome.result.at("server").at("threads_peak"), 2 + 4 + 3 + 2);
}

TEST(BuiltinTrial, Pipelines) {
  for (const char* model : models) {
    json spec = model_spec(model);
    spec["point"]["pipeline"] = 8;
    expect_measured(run_trial(spec));
  }
}

TEST(BuiltinTrial, AsksForHeads) {
  for (const char* model : models) {
    json spec = model_spec(model);
    spec["scenario"]["request"]["method"] = "HEAD";
    spec["scenario"]["expect"]["body"] = "";
    spec["accounting"] = {{"connections", 2}, {"requests_per_connection", 3}};
    const Outcome outcome = run_trial(spec);
    expect_measured(outcome);
    EXPECT_EQ(outcome.result.at("check").at("body_bytes"), 0);
  }
}

TEST(BuiltinTrial, UsesAConnectionForSomeRequests) {
  for (const std::uint64_t requests : {1U, 10U}) {
    json spec = builtin_spec();
    spec["scenario"]["requests_per_connection"] = requests;
    const Outcome outcome = run_trial(spec);
    expect_measured(outcome);
    const json& load = load_of(outcome);
    EXPECT_GE(number(load.at("connections_opened")) * requests,
              number(load.at("counts").at("answered")));
    EXPECT_GT(load.at("connections_opened"), 4);
  }
}

TEST(BuiltinTrial, Thinks) {
  json spec = builtin_spec();
  spec["point"]["think_time"] = "20ms";
  const Outcome outcome = run_trial(spec);
  expect_measured(outcome);
  EXPECT_LE(load_of(outcome).at("requests"), 4 * (200 / 20 + 1));
}

// --- doubts

TEST(InvalidBuiltinTrial, ErrorShare) {
  // Answers 503 as long as all four connections are there, which the checks never see.
  const Outcome outcome = run_trial(builtin_spec({"--crowd", "3", "--work-us", "20"}));
  ASSERT_FALSE(outcome.result.is_discarded()) << told(outcome);
  EXPECT_EQ(outcome.codes(), Codes{"error-share"});
  EXPECT_EQ(outcome.status.text(), "exited with status 1");
  EXPECT_GT(load_of(outcome).at("errors").at("status"), 0);
  EXPECT_GT(load_of(outcome).at("rejected"), 0);
  EXPECT_EQ(load_of(outcome).at("status_classes").at("5xx"), load_of(outcome).at("rejected"));
}

TEST(InvalidBuiltinTrial, RateMissed) {
  json spec = model_spec("worker-pool");
  spec["scenario"]["request"]["path"] = "/sleep?ms=20";
  spec["scenario"]["expect"]["body"] = "done\n";
  spec["point"] = {{"connections", 1}, {"rate", 1000}};
  spec["timeout"] = "50ms";
  const Outcome outcome = run_trial(spec);
  ASSERT_FALSE(outcome.result.is_discarded()) << told(outcome);
  const Codes codes = outcome.codes();
  EXPECT_NE(std::find(codes.begin(), codes.end(), "rate-missed"), codes.end()) << told(outcome);
  EXPECT_GT(load_of(outcome).at("counts").at("unsent"), 0);
  expect_reconciled(load_of(outcome));
}

TEST(FailedBuiltinTrial, TargetThatAnswersNothingUnderLoad) {
  json spec = builtin_spec({"--stall-after", "2"});
  spec["timeout"] = "50ms";
  expect_failed(run_trial(spec), "error-share", "not one request");
}

// --- shutdown under load

TEST(Shutdown, CountsWhatBecameOfTheRequests) {
  for (const char* model : models) {
    json spec = model_spec(model);
    spec["point"]["shutdown_after"] = "100ms";
    const Outcome outcome = run_trial(spec);
    ASSERT_FALSE(outcome.result.is_discarded()) << told(outcome);
    EXPECT_EQ(outcome.codes(), Codes{}) << told(outcome);
    EXPECT_EQ(outcome.result.at("status"), "valid");
    const json& shutdown = outcome.result.at("shutdown");
    EXPECT_GT(shutdown.at("answered"), 0);
    EXPECT_GT(shutdown.at("refused"), 0);
    EXPECT_GT(shutdown.at("exit_s"), 0);
    EXPECT_EQ(number(shutdown.at("answered")) + number(shutdown.at("refused")) +
                  number(shutdown.at("lost")),
              number(load_of(outcome).at("counts").at("sent")));
    const json& server = outcome.result.at("server");
    EXPECT_TRUE(server.at("cpu_us_per_request").is_null());
    EXPECT_TRUE(outcome.result.at("machine").at("foreign_cpu_share").is_null());
    EXPECT_GE(outcome.result.at("machine").at("steal_share"), 0) << "whoever used the cores";
    EXPECT_GT(server.at("rss_peak_bytes"), 0);
    EXPECT_GE(server.at("threads_peak"), 4);
    EXPECT_GT(server.at("threads_started"), 0) << "from the exit line";
  }
}

TEST(Shutdown, GoesOnInTheOpenLoop) {
  json spec = model_spec("worker-pool");
  spec["point"]["rate"] = 500;
  spec["point"]["shutdown_after"] = "100ms";
  const Outcome outcome = run_trial(spec);
  ASSERT_FALSE(outcome.result.is_discarded()) << told(outcome);
  EXPECT_GT(outcome.result.at("shutdown").at("answered"), 0);
  EXPECT_GT(outcome.result.at("shutdown").at("exit_s"), 0);
  expect_reconciled(load_of(outcome));
}

TEST(Shutdown, OfATargetThatDoesNotEnd) {
  json spec = builtin_spec({"--ignore-sigterm", "--work-us", "20"});
  spec["point"]["shutdown_after"] = "50ms";
  spec["limits"] = {{"stop", "50ms"}};
  const Outcome outcome = run_trial(spec);
  ASSERT_FALSE(outcome.result.is_discarded()) << told(outcome);
  EXPECT_EQ(outcome.codes(), Codes{"target-did-not-stop"});
  const json& shutdown = outcome.result.at("shutdown");
  EXPECT_EQ(shutdown.at("refused"), 0);
  EXPECT_TRUE(shutdown.at("exit_s").is_null());
  EXPECT_TRUE(outcome.result.at("unmeasured").contains("shutdown.exit_s"));
}

// --- what others can do to it

TEST(FailedBuiltinTrial, TargetDiedUnderLoad) {
  expect_failed(run_trial(builtin_spec({"--die-after", "30"})), "target-died-under-load",
                "was killed by SIGKILL");
}

TEST(FailedBuiltinTrial, TargetKilledInTheMiddle) {
  json spec = builtin_spec();
  spec["duration"] = "1h";
  TrialProcess trial(spec.dump());
  ASSERT_NE(trial.await_descendant("spawnpool-load"), 0);
  kill(trial.await_descendant("spawnpool-fixtu"), SIGKILL);
  expect_failed(trial.wait(), "target-died-under-load", "was killed by SIGKILL under load");
}

TEST(FailedBuiltinTrial, GeneratorKilled) {
  json spec = builtin_spec();
  spec["duration"] = "1h";
  TrialProcess trial(spec.dump());
  kill(trial.await_descendant("spawnpool-load"), SIGKILL);
  expect_failed(trial.wait(), "driver-failed", "spawnpool-load was killed by SIGKILL");
}

// A copy of spawnpool-trial beside another spawnpool-load, or none.
class OtherGenerator : public ::testing::Test {
 protected:
  OtherGenerator() { std::filesystem::copy_file(bin_folder() + "/spawnpool-trial", program()); }

  std::string program() const { return folder_.file("spawnpool-trial"); }
  Outcome run(const std::string& script) {
    folder_.write("spawnpool-load", "#!/bin/sh\n" + script, true);
    return TrialProcess(builtin_spec().dump(), {}, program()).wait();
  }

  TemporaryFolder folder_;
};

TEST_F(OtherGenerator, Missing) {
  const Outcome outcome = TrialProcess(builtin_spec().dump(), {}, program()).wait();
  EXPECT_EQ(outcome.status.text(), "exited with status 2");
  EXPECT_EQ(outcome.out, "");
  ASSERT_EQ(outcome.err.size(), 1U) << told(outcome);
  EXPECT_NE(outcome.err[0].find("spawnpool-load is not in /"), std::string::npos) << outcome.err[0];
  EXPECT_NE(outcome.err[0].find("cmake --build"), std::string::npos) << outcome.err[0];
}

TEST_F(OtherGenerator, EndsEarly) {
  expect_failed(run("echo first >&2; echo out of luck >&2; exit 2"), "driver-failed",
                "spawnpool-load exited with status 2 too early: out of luck");
  expect_failed(run("echo '{\"event\":\"window-begin\"}'; exit 0"), "driver-failed",
                "spawnpool-load exited with status 0 too early");
}

TEST_F(OtherGenerator, TalksRubbish) {
  const std::string window =
      "echo '{\"event\":\"window-begin\"}'; echo nonsense; echo '{\"event\":\"window-end\"}'; ";
  expect_failed(run(window + "echo '{'"), "driver-failed", "spawnpool-load gave no report");
  expect_failed(run(window + "exec >&-; exit 1"), "driver-failed",
                "spawnpool-load exited with status 1");
}

class BuiltinOrphans : public ::testing::Test {
 protected:
  BuiltinOrphans() : trial_(spec()) {
    EXPECT_NE(trial_.await_descendant("spawnpool-load"), 0);
    for (const auto& [pid, name] : testing::descendants(trial_.pid())) {
      processes_.push_back(pid);
    }
    EXPECT_EQ(processes_.size(), 3U) << "guard, target, generator";
  }

  static std::string spec() {
    json spec = builtin_spec();
    spec["duration"] = "1h";
    return spec.dump();
  }

  TrialProcess trial_;
  std::vector<pid_t> processes_;
};

TEST_F(BuiltinOrphans, NoneAfterSigterm) {
  kill(trial_.pid(), SIGTERM);
  const Outcome outcome = trial_.wait();
  for (const pid_t pid : processes_) {
    EXPECT_TRUE(gone(pid));  // at once, not only soon
  }
  EXPECT_EQ(outcome.status.text(), "exited with status 143");
  EXPECT_EQ(outcome.out, "");
}

TEST_F(BuiltinOrphans, NoneAfterSigkill) {
  kill(trial_.pid(), SIGKILL);
  for (const pid_t pid : processes_) {
    EXPECT_TRUE(await([pid] { return gone(pid); })) << pid;
  }
}

}  // namespace
}  // namespace spawnpool::trial
