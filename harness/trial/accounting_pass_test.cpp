// The passes that count system calls and instructions, by spawnpool-trial: real strace, real
// valgrind.
#include "harness/trial/accounting_pass.hpp"

#include <gtest/gtest.h>

#include "harness/trial/testing/trial_process.hpp"

namespace spawnpool::trial {
namespace {

using nlohmann::json;
using testing::fixture_program;
using testing::fixture_spec;
using testing::Outcome;
using testing::run_trial;
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

TEST(AccountingPass, SaysWhichProgramIsMissing) {
  json spec = of_model("worker-pool", "syscalls");
  spec["accounting"]["instructions"] = true;
  const Outcome outcome = run_trial(spec, {"PATH=/nowhere"});
  EXPECT_TRUE(server_of(outcome).at("syscalls_per_request").is_null());
  const json& reasons = outcome.result.at("unmeasured");
  EXPECT_EQ(reasons.at("server.syscalls_per_request"),
            "strace is not installed; apt-get install strace");
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

// Allocations are counted without strace, and stay.
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
