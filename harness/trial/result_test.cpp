#include "harness/trial/result.hpp"

#include <gtest/gtest.h>

#include <set>

namespace spawnpool::trial {
namespace {

using nlohmann::ordered_json;

void collect_nulls(const ordered_json& value, const std::string& path,
                   std::set<std::string>& found) {
  if (value.is_null()) {
    found.insert(path);
  }
  if (value.is_object() && path != "unmeasured" && path != "point") {
    for (const auto& [key, inner] : value.items()) {
      collect_nulls(inner, path.empty() ? key : path + "." + key, found);
    }
  }
}

std::set<std::string> nulls(const ordered_json& value) {
  std::set<std::string> found;
  collect_nulls(value, "", found);
  return found;
}

std::set<std::string> keys(const ordered_json& object) {
  std::set<std::string> found;
  for (const auto& [key, value] : object.items()) {
    found.insert(key);
    EXPECT_FALSE(value.get<std::string>().empty()) << key;
  }
  return found;
}

TEST(ToJson, GivesEachNullItsReason) {
  TrialResult result;
  const ordered_json nothing = to_json(result);
  EXPECT_EQ(nulls(nothing), keys(nothing["unmeasured"]));
  EXPECT_GT(nothing["unmeasured"].size(), 50U);

  result.load.requests = 10U;
  result.check = CheckResult{200, 13, 142};
  result.server.allocations.per_request = 0.0;
  result.server.allocations.by_phase = std::vector<PhaseAllocations>{{"read", 1, 2, 30, 40}};
  result.server.syscalls.by_phase =
      std::vector<PhaseSyscalls>{{"handle", 1, 2, 1500.5, -2, 1400, 0}};
  result.server.threads_started = Unmeasured{"no exit line"};
  const ordered_json some = to_json(result);
  EXPECT_EQ(nulls(some), keys(some["unmeasured"]));
  EXPECT_EQ(some["unmeasured"].size(), nothing["unmeasured"].size() - 5);
  EXPECT_EQ(some["load"]["requests"], 10);
  EXPECT_EQ(some["check"]["response_bytes"], 142);
  EXPECT_EQ(some["server"]["allocations"]["per_request"], 0.0);
  EXPECT_EQ(some["server"]["allocations"]["by_phase"], ordered_json::parse(R"({"read": {
    "per_request": 1.0, "per_connection": 2.0, "bytes_per_request": 30.0,
    "bytes_per_connection": 40.0}})"));
  EXPECT_EQ(some["server"]["syscalls_by_phase"], ordered_json::parse(R"({"handle": {
    "per_request": 1.0, "per_connection": 2.0, "us_per_request": 1500.5, "us_per_connection": -2.0,
    "wait_us_per_request": 1400.0, "wait_us_per_connection": 0.0}})"));
  EXPECT_EQ(some["unmeasured"]["server.threads_started"], "no exit line");
}

TEST(TrialResult, KeepsTheWorstStatusAndEveryReason) {
  TrialResult result;
  EXPECT_EQ(to_json(result)["status"], "valid");
  result.mark(Status::failed, {"wrong-answer", "a"});
  result.mark(Status::invalid, {"error-share", "b"});
  const ordered_json json = to_json(result);
  EXPECT_EQ(json["status"], "failed");
  EXPECT_EQ(json["reasons"], ordered_json::parse(R"([{"code": "wrong-answer", "message": "a"},
                                                     {"code": "error-share", "message": "b"}])"));
}

}  // namespace
}  // namespace spawnpool::trial
