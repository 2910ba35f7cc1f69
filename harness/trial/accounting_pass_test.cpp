// The passes that count system calls and instructions, by spawnpool-trial: real ptrace, real
// valgrind.
#include "harness/trial/accounting_pass.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "harness/trial/testing/trial_process.hpp"
#include "servers/cli/build_folder.hpp"

namespace spawnpool::trial {
namespace {

using nlohmann::json;
using testing::await;
using testing::descendants;
using testing::fixture_program;
using testing::fixture_spec;
using testing::gone;
using testing::Outcome;
using testing::run_trial;
using testing::TrialProcess;
using Codes = std::vector<std::string>;

json counting_spec(const std::vector<std::string>& options, const char* what) {
  json spec = fixture_spec(options);
  spec["driver"] = "builtin";
  spec["duration"] = "100ms";
  spec["accounting"] = {{"connections", 4}, {"requests_per_connection", 6}, {what, true}};
  return spec;
}

json of_model(const std::string& model, const char* what) {
  json spec = counting_spec({}, what);
  spec["target"] = {{"name", model}, {"model", model}, {"options", json::array()}};
  spec["scenario"]["request"]["path"] = "/plaintext";
  return spec;
}

json server_of(const Outcome& outcome) {
  EXPECT_FALSE(outcome.result.is_discarded()) << ::testing::PrintToString(outcome.err);
  for (const std::string& code : outcome.codes()) {
    EXPECT_EQ(code, "generator-bound") << outcome.result.at("reasons");
  }
  return outcome.result.at("server");
}

double cost(const json& server, const std::string& call, const char* per) {
  const json& calls = server.at("syscalls_by_name");
  return calls.contains(call) ? calls.at(call).at(per).get<double>() : 0.0;
}

#ifdef SPAWNPOOL_PHASES

// The parts of what is told by phase add up to this.
double sum_of_phases(const json& phases, const char* key) {
  double sum = 0;
  for (const json& phase : phases) {
    sum += phase.at(key).get<double>();
  }
  return sum;
}

// Calls by phase, without the times, which differ.
json calls_by_phase(const json& server) {
  json calls;
  for (const auto& [phase, costs] : server.at("syscalls_by_phase").items()) {
    calls[phase] = {costs.at("per_request"), costs.at("per_connection")};
  }
  return calls;
}

#endif

class Syscalls : public ::testing::TestWithParam<const char*> {};

TEST_P(Syscalls, AreTheSameEachTime) {
  const json server = server_of(run_trial(of_model(GetParam(), "syscalls")));
  EXPECT_EQ(cost(server, "sendto", "per_request"), 1);
  EXPECT_EQ(cost(server, "accept4", "per_connection"), 1);
  EXPECT_EQ(cost(server, "close", "per_connection"), 1);
  const bool pool = std::string(GetParam()) == "worker-pool";
  EXPECT_EQ(cost(server, "clone3", "per_connection") + cost(server, "clone", "per_connection"),
            pool ? 0 : 1);
  const json again = server_of(run_trial(of_model(GetParam(), "syscalls")));
  EXPECT_EQ(again.at("syscalls_by_name"), server.at("syscalls_by_name"));
  EXPECT_EQ(again.at("syscalls_per_request"), server.at("syscalls_per_request"));
#ifdef SPAWNPOOL_PHASES
  EXPECT_EQ(calls_by_phase(again), calls_by_phase(server));
#else
  EXPECT_TRUE(server.at("syscalls_by_phase").is_null());
#endif
}

TEST_P(Syscalls, AndInstructionsAreThoseOfTheRequests) {
  const json server = server_of(run_trial(of_model(GetParam(), "instructions")));
  EXPECT_GT(server.at("instructions_per_request"), 500);
  EXPECT_LT(server.at("instructions_per_request"), 10'000);
  EXPECT_GT(server.at("instructions_per_connection"), 0);
}

INSTANTIATE_TEST_SUITE_P(Models, Syscalls,
                         ::testing::Values("thread-per-connection", "worker-pool"));

TEST(SyscallPass, FindsWhatWasInjected) {
  const json plain = server_of(run_trial(counting_spec({"--work-us", "20"}, "syscalls")));
  const json more =
      server_of(run_trial(counting_spec({"--work-us", "20", "--syscalls", "3"}, "syscalls")));
  EXPECT_EQ(cost(plain, "getppid", "per_request"), 0);
  EXPECT_EQ(cost(more, "getppid", "per_request"), 3);
  EXPECT_EQ(cost(more, "getppid", "per_connection"), 0);
  EXPECT_EQ(more.at("syscalls_per_request").get<double>(),
            plain.at("syscalls_per_request").get<double>() + 3);
}

#ifdef SPAWNPOOL_PHASES

TEST_P(Syscalls, AddUpOverThePhasesInWhichTheyWereMade) {
  const json server = server_of(run_trial(of_model(GetParam(), "syscalls")));
  const json& phases = server.at("syscalls_by_phase");
  ASSERT_EQ(phases.size(), 9);
  for (const char* per : {"per_request", "per_connection"}) {
    EXPECT_NEAR(sum_of_phases(phases, per), server.at(std::string("syscalls_") + per).get<double>(),
                1e-9);
  }
  EXPECT_EQ(phases.at("accept").at("per_connection"), 1);
  EXPECT_EQ(phases.at("write").at("per_request"), 1);
  EXPECT_GE(phases.at("read").at("per_request"), 1);
  EXPECT_GE(phases.at("hand_off").at("per_connection"), 1);
  EXPECT_GE(phases.at("close").at("per_connection"), 1);
  // Nothing is written while waiting, and who reads waits for the client.
  EXPECT_EQ(phases.at("write").at("wait_us_per_request"), 0);
  EXPECT_GT(phases.at("read").at("wait_us_per_request"), 0);
}

json injecting_spec(const std::string& path, const std::string& body) {
  json spec = counting_spec({}, "syscalls");
  spec["target"] = {{"name", "injecting"},
                    {"command", {cli::built("tests/injecting_server")}},
                    {"ready_line", true}};
  spec["scenario"]["request"]["path"] = path;
  spec["scenario"]["expect"] = {{"status", 200}, {"body", body}};
  spec["point"]["connections"] = 1;  // it has one worker
  return spec;
}

TEST(SyscallPass, FindsWhatWasInjectedIntoAPhaseThere) {
  const json plain = server_of(run_trial(injecting_spec("/plaintext", "")));
  const json more = server_of(run_trial(injecting_spec("/calls", "done")));
  EXPECT_EQ(cost(more, "getppid", "per_request"), 3);
  json expected = calls_by_phase(plain);
  EXPECT_EQ(expected.at("handle"), json({0.0, 0.0}));
  expected["handle"] = {3.0, 0.0};
  EXPECT_EQ(calls_by_phase(more), expected);
}

// The kernel lets nobody sleep shorter than asked for. In the other phases there is no sleep, and
// their times are what they are.
TEST(SyscallPass, FindsASleepInItsPhaseWithItsLength) {
  const json spec = injecting_spec("/sleep", "done");
  const json server = server_of(run_trial(spec));
  EXPECT_EQ(cost(server, "clock_nanosleep", "per_request"), 1);
  const json& phases = server.at("syscalls_by_phase");
  const json& handle = phases.at("handle");
  EXPECT_EQ(handle.at("per_request"), 1);
  const double requests = spec.at("accounting").at("requests_per_connection");
  EXPECT_GE(requests * handle.at("us_per_request").get<double>() +
                handle.at("us_per_connection").get<double>(),
            requests * 20'000);
  EXPECT_EQ(handle.at("wait_us_per_request"), 0);
  EXPECT_EQ(phases.at("parse").at("us_per_request"), 0);
}

#endif

TEST(SyscallPass, HasNoPhasesOfATargetThatMarksNone) {
  const Outcome outcome = run_trial(counting_spec({"--work-us", "20"}, "syscalls"));
  EXPECT_TRUE(server_of(outcome).at("syscalls_by_phase").is_null());
  EXPECT_TRUE(server_of(outcome).at("syscalls_per_request").is_number());
  EXPECT_EQ(outcome.result.at("unmeasured").at("server.syscalls_by_phase"),
            "the target marks no phases");
}

// Who traces a process, 0: nobody.
pid_t tracer_of(pid_t process) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  const std::string key = "TracerPid:";
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key)) {
      return std::stoi(line.substr(key.size()));
    }
  }
  return 0;
}

TEST(AccountingPass, LeavesNothingBehindWhenItsTracerIsKilled) {
  TrialProcess trial(counting_spec({"--work-us", "20"}, "syscalls").dump());
  pid_t tracer = 0;
  ASSERT_TRUE(await([&] {
    for (const auto& [pid, name] : descendants(trial.pid())) {
      tracer = name == "spawnpool-fixtu" ? std::max(tracer, tracer_of(pid)) : tracer;
    }
    return tracer != 0;
  }));
  kill(tracer, SIGKILL);
  const Outcome outcome = trial.wait();
  EXPECT_TRUE(gone(tracer));
  EXPECT_TRUE(descendants(trial.pid()).empty());
  ASSERT_FALSE(outcome.result.is_discarded());
  ASSERT_FALSE(outcome.codes().empty());
  EXPECT_EQ(outcome.codes().back(), "accounting-failed");
  EXPECT_TRUE(outcome.result.at("server").at("syscalls_per_request").is_null());
}

TEST(AccountingPass, SaysWhichProgramIsMissing) {
  // A build without the tracer.
  const testing::TemporaryFolder build;
  std::filesystem::create_directory(build.file("bin"));
  for (const char* program : {"spawnpool-trial", "spawnpool-load", "spawnpool-server"}) {
    std::filesystem::copy_file(testing::bin_folder() + "/" + program,
                               build.file("bin") + "/" + program);
  }
  json spec = of_model("worker-pool", "syscalls");
  spec["accounting"]["instructions"] = true;
  const Outcome outcome =
      TrialProcess(spec.dump(), {"PATH=/nowhere"}, build.file("bin/spawnpool-trial")).wait();
  EXPECT_TRUE(server_of(outcome).at("syscalls_per_request").is_null());
  const json& reasons = outcome.result.at("unmeasured");
  EXPECT_EQ(
      reasons.at("server.syscalls_per_request"),
      build.file("bin/spawnpool-syscalls") +
          " is missing; build it: cmake --build --preset release --target spawnpool-syscalls");
  EXPECT_EQ(reasons.at("server.instructions_per_request"),
            "valgrind is not installed; apt-get install valgrind");
}

TEST(AccountingPass, IsOnlyMadeWhenAskedFor) {
  json spec = of_model("worker-pool", "syscalls");
  spec["accounting"]["syscalls"] = false;
  const Outcome outcome = run_trial(spec);
  EXPECT_EQ(outcome.result.at("unmeasured").at("server.syscalls_by_name"),
            "not asked for in this trial");
}

// Allocations are counted untraced, and stay.
TEST(AccountingPass, ReportsATargetThatEndsWhenItIsTraced) {
  json spec = counting_spec({}, "syscalls");
  spec["target"]["command"] = {
      "sh", "-c",
      "grep -q 'TracerPid:.0' /proc/self/status || exit 5; exec \"$0\" --work-us 20 --port {port}",
      fixture_program()};
  const Outcome outcome = run_trial(spec);
  EXPECT_EQ(outcome.codes(), Codes{"accounting-failed"});
  EXPECT_EQ(outcome.result.at("status"), "invalid");
  EXPECT_TRUE(outcome.result.at("server").at("syscalls_per_request").is_null());
  EXPECT_TRUE(outcome.result.at("server").at("allocations").at("per_request").is_number());
}

}  // namespace
}  // namespace spawnpool::trial
