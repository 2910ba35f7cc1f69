#include "harness/trial/spec.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "servers/cli/cli.hpp"

namespace spawnpool::trial {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

json good() {
  return json::parse(R"({
    "target": {"name": "worker-pool", "model": "worker-pool", "options": ["--workers", "256"]},
    "scenario": {"name": "keep-alive",
                 "request": {"method": "GET", "path": "/plaintext", "headers": {"Accept": "*/*"}, "body": ""},
                 "expect": {"status": 200, "body": "Hello, World!"},
                 "requests_per_connection": 0},
    "point": {"connections": 16},
    "driver": "wrk",
    "warmup": "300ms", "duration": "1s", "timeout": "2s",
    "accounting": {"connections": 20, "requests_per_connection": 50},
    "limits": {"error_share": 0.01, "foreign_cpu_share": 0.05, "steal_share": 0.02,
               "ready": "3s", "stop": "4s"},
    "cpus": {"server": [0], "generator": [2, 1]},
    "block": 3, "position": 1, "seed": 18446744073709551615
  })");
}

TEST(ReadSpec, TakesEveryKey) {
  const TrialSpec spec = read_spec(good().dump());
  EXPECT_EQ(spec.target.model, "worker-pool");
  EXPECT_EQ(spec.target.options, (std::vector<std::string>{"--workers", "256"}));
  EXPECT_EQ(spec.scenario.connections, 16U);
  EXPECT_EQ(spec.scenario.request.headers.at("Accept"), "*/*");
  EXPECT_EQ(spec.scenario.expect.body, "Hello, World!");
  EXPECT_EQ(spec.warmup, 300ms);
  EXPECT_EQ(spec.duration, 1s);
  EXPECT_EQ(spec.timeout, 2s);
  EXPECT_EQ(spec.accounting.value().requests_per_connection, 50U);
  EXPECT_FALSE(spec.accounting.value().syscalls);
  EXPECT_FALSE(spec.accounting.value().instructions);
  EXPECT_FALSE(spec.accounting.value().perf);
  EXPECT_EQ(spec.limits.error_share, 0.01);
  EXPECT_EQ(spec.limits.foreign_cpu_share, 0.05);
  EXPECT_EQ(spec.limits.steal_share, 0.02);
  EXPECT_EQ(spec.limits.ready, 3s);
  EXPECT_EQ(spec.limits.stop, 4s);
  EXPECT_EQ(spec.cpus.value().generator, (std::vector<int>{1, 2}));
  EXPECT_EQ(spec.block, 3);
  EXPECT_EQ(spec.seed, 18446744073709551615ULL);
}

TEST(ReadSpec, MergesThePointOverTheScenario) {
  json spec = good();
  spec["scenario"]["connections"] = 4;
  spec["point"] = {{"connections", 64}, {"request", {{"path", "/json"}}}};
  const TrialSpec read = read_spec(spec.dump());
  EXPECT_EQ(read.scenario.connections, 64U);
  EXPECT_EQ(read.scenario.request.path, "/json");
  EXPECT_EQ(read.scenario.request.method, "GET");
  EXPECT_EQ(read.point, spec["point"]);
}

TEST(ReadSpec, LeavesOutWhatIsOptional) {
  json spec = good();
  for (const char* key : {"accounting", "limits", "cpus", "block", "position", "seed"}) {
    spec.erase(key);
  }
  const TrialSpec read = read_spec(spec.dump());
  EXPECT_FALSE(read.accounting);
  EXPECT_FALSE(read.cpus);
  EXPECT_EQ(read.limits.error_share, 0.001);
  EXPECT_FALSE(read.limits.foreign_cpu_share);
  EXPECT_FALSE(read.limits.steal_share);
}

struct Mistake {
  const char* message_has;  // the path first
  std::function<void(json&)> make;
};

TEST(ReadSpec, NamesTheMistake) {
  const auto set = [](const char* pointer, const json& value) {
    return [pointer, value](json& spec) { spec[json::json_pointer(pointer)] = value; };
  };
  const auto drop = [](const char* parent, const char* key) {
    return [parent, key](json& spec) { spec[json::json_pointer(parent)].erase(key); };
  };
  const auto target = [](const char* text) {
    return [text](json& spec) { spec["target"] = json::parse(text); };
  };
  const Mistake mistakes[] = {
      {"nope: unknown key", set("/nope", 1)},
      {"scenario.nope: unknown key", set("/scenario/nope", 1)},
      {"scenario.nope: unknown key", set("/point/nope", 1)},
      {"scenario.request.nope: unknown key", set("/scenario/request/nope", 1)},
      {"scenario.expect.nope: unknown key", set("/scenario/expect/nope", 1)},
      {"accounting.nope: unknown key", set("/accounting/nope", 1)},
      {"limits.nope: unknown key", set("/limits/nope", 1)},
      {"cpus.nope: unknown key", set("/cpus/nope", 1)},
      {"target.nope: unknown key", set("/target/nope", 1)},
      {"target.port: unknown key", set("/target/port", 80)},
      {"target: missing", drop("", "target")},
      {"scenario: missing", drop("", "scenario")},
      {"driver: missing", drop("", "driver")},
      {"warmup: missing", drop("", "warmup")},
      {"duration: missing", drop("", "duration")},
      {"timeout: missing", drop("", "timeout")},
      {"target.name: missing", drop("/target", "name")},
      {"scenario.name: missing", drop("/scenario", "name")},
      {"scenario.request: missing", drop("/scenario", "request")},
      {"scenario.expect: missing", drop("/scenario", "expect")},
      {"scenario.expect.body: missing", drop("/scenario/expect", "body")},
      {"point.connections: missing", drop("/point", "connections")},
      {"cpus.server: missing", drop("/cpus", "server")},
      {"target: must be an object, not string", set("/target", "nginx")},
      {"scenario: must be an object, not array", set("/scenario", json::array())},
      {"point: must be an object, not number", set("/point", 16)},
      {"driver: must be a string, not number", set("/driver", 1)},
      {"driver: unknown driver 'ab'; known: builtin, wrk", set("/driver", "ab")},
      {"target.model: unknown model 'fork'; known: thread-per-connection, worker-pool",
       set("/target/model", "fork")},
      {"target.options[1]: must be a string", set("/target/options/1", 256)},
      {"target.model: give either model or command", set("/target/command", {"x", "{port}"})},
      {"target.model: give either model or command", target(R"({"name": "x"})")},
      {"target.command: must name a program", target(R"({"name": "x", "command": []})")},
      {"target.command: must be a list", target(R"({"name": "x", "command": "nginx"})")},
      {"target.command: needs exactly one way", target(R"({"name": "x", "command": ["nginx"]})")},
      {"target.command: needs exactly one way",
       target(R"({"name": "x", "command": ["nginx", "{port}"], "port": 80})")},
      {"target.port: must be a whole number from 1 to 65535, not 65536",
       target(R"({"name": "x", "command": ["nginx"], "port": 65536})")},
      {"target.ready_line: must be true or false",
       target(R"({"name": "x", "command": ["nginx"], "ready_line": "yes"})")},
      {"scenario.connections: must be a whole number from 1 to 1000000, not 0",
       set("/point/connections", 0)},
      {"scenario.connections: must be a whole number", set("/point/connections", 1.5)},
      {"scenario.connections: must be a whole number", set("/point/connections", -1)},
      {"scenario.connections: must be a whole number", set("/point/connections", "16")},
      {"scenario.requests_per_connection: the driver wrk can keep connections",
       set("/scenario/requests_per_connection", 10)},
      {"scenario.request.method: 'GE T' is no HTTP method",
       set("/scenario/request/method", "GE T")},
      {"scenario.request.method: the driver wrk cannot read the answers to HEAD",
       [](json& spec) {
         spec["scenario"]["request"]["method"] = "HEAD";
         spec["scenario"]["expect"]["body"] = "";
       }},
      {"scenario.request.path: must begin with /", set("/scenario/request/path", "json")},
      {"scenario.request.path: must begin with /", set("/scenario/request/path", "/a b")},
      {"scenario.request.path: must begin with /", set("/scenario/request/path", "/a\r\nX: y")},
      {"scenario.request.headers.X: is no HTTP header", set("/scenario/request/headers/X", "a\nb")},
      {"scenario.request.headers.X Y: is no HTTP header",
       set("/scenario/request/headers/X Y", "a")},
      {"scenario.request.headers.connection: is set by the harness",
       set("/scenario/request/headers/connection", "close")},
      {"scenario.expect.status: must be a whole number from 200 to 599, not 100",
       set("/scenario/expect/status", 100)},
      {"duration: \"soon\" is no duration; write it as 250ms", set("/duration", "soon")},
      {"duration: must lie between 1ms and 1h", set("/duration", "0s")},
      {"duration: must be a string, not number", set("/duration", 10)},
      {"timeout: must be whole seconds", set("/timeout", "1500ms")},
      {"timeout: must be whole seconds", set("/timeout", "2m")},
      {"scenario.expect.body: give either body or body_bytes",
       set("/scenario/expect/body_bytes", 5)},
      {"accounting.requests_per_connection: must be a whole number from 2",
       set("/accounting/requests_per_connection", 1)},
      {"limits.error_share: must be a number from 0 to 1", set("/limits/error_share", 1.5)},
      {"limits.foreign_cpu_share: must be a number from 0 to 1",
       set("/limits/foreign_cpu_share", -0.1)},
      {"limits.steal_share: must be a number from 0 to 1", set("/limits/steal_share", "5 %")},
      {"limits.ready: \"x\" is no duration", set("/limits/ready", "x")},
      {"cpus.server: must name at least one CPU", set("/cpus/server", json::array())},
      {"cpus.server[0]: must be a whole number", set("/cpus/server/0", "0")},
      {"block: must be a whole number", set("/block", -1)},
      {"seed: must be a whole number", set("/seed", 0.5)},
  };
  for (const Mistake& mistake : mistakes) {
    json spec = good();
    mistake.make(spec);
    try {
      read_spec(spec.dump());
      ADD_FAILURE() << "taken: " << mistake.message_has;
    } catch (const cli::UsageError& error) {
      const std::string message = error.what();
      EXPECT_TRUE(message.starts_with(mistake.message_has))
          << message << "\nexpected: " << mistake.message_has;
      EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    }
  }
}

json good_builtin() {
  json spec = good();
  spec["driver"] = "builtin";
  return spec;
}

TEST(ReadSpec, TakesWhatOnlyTheBuiltinDriverCan) {
  json spec = good_builtin();
  spec["timeout"] = "1500us";
  spec["scenario"]["request"]["method"] = "HEAD";
  spec["scenario"]["expect"] = {{"status", 200}, {"body_bytes", 0}};
  spec["point"] = json::parse(R"({
    "connections": 16, "requests_per_connection": 100, "pipeline": 8, "rate": 2500.5,
    "arrivals": "uniform", "shutdown_after": "500ms",
    "background": {"idle": 3, "slow_senders": 4, "slow_readers": 5, "bytes_per_second": 6}
  })");
  const TrialSpec read = read_spec(spec.dump());
  EXPECT_EQ(read.timeout, 1500us);
  EXPECT_EQ(read.scenario.requests_per_connection, 100U);
  EXPECT_EQ(read.scenario.pipeline, 8U);
  EXPECT_EQ(read.scenario.rate, 2500.5);
  EXPECT_EQ(read.scenario.arrivals, "uniform");
  EXPECT_EQ(read.scenario.shutdown_after, 500ms);
  EXPECT_EQ(read.scenario.background.idle, 3U);
  EXPECT_EQ(read.scenario.background.slow_senders, 4U);
  EXPECT_EQ(read.scenario.background.slow_readers, 5U);
  EXPECT_EQ(read.scenario.background.bytes_per_second, 6U);
  EXPECT_TRUE(read.scenario.open_loop());
  EXPECT_FALSE(read.scenario.expect.body);

  spec = good_builtin();
  spec["point"]["burst"] = {{"size", 32}, {"every", "100ms"}};
  const ScenarioSpec burst = read_spec(spec.dump()).scenario;
  EXPECT_EQ(burst.burst.value().size, 32U);
  EXPECT_EQ(burst.burst.value().every, 100ms);
  EXPECT_TRUE(burst.open_loop());

  spec = good_builtin();
  spec["point"]["think_time"] = "10ms";
  const ScenarioSpec thinking = read_spec(spec.dump()).scenario;
  EXPECT_EQ(thinking.think_time, 10ms);
  EXPECT_FALSE(thinking.open_loop());
}

TEST(ReadSpec, TakesAnAnswerByItsLength) {
  json spec = good();
  spec["scenario"]["expect"] = {{"status", 200}, {"body_bytes", 3}};
  const ExpectSpec expect = read_spec(spec.dump()).scenario.expect;
  EXPECT_TRUE(expect.takes("abc"));
  EXPECT_FALSE(expect.takes("abcd"));
  EXPECT_TRUE(read_spec(good().dump()).scenario.expect.takes("Hello, World!"));
  EXPECT_FALSE(read_spec(good().dump()).scenario.expect.takes("Hello, world!"));
}

TEST(ReadSpec, NamesTheMistakeInALoadForTheBuiltinDriver) {
  const struct {
    const char* message_has;
    const char* point;
  } mistakes[] = {
      {"scenario.pipeline: must be a whole number from 1", R"({"pipeline": 0})"},
      {"scenario.think_time: \"x\" is no duration", R"({"think_time": "x"})"},
      {"scenario.rate: must be a number from 0.001 to 1e+07, not 0", R"({"rate": 0})"},
      {"scenario.rate: must be a number", R"({"rate": "fast"})"},
      {"scenario.arrivals: unknown arrivals 'normal'; known: poisson, uniform",
       R"({"rate": 10, "arrivals": "normal"})"},
      {"scenario.arrivals: says how a rate is spread", R"({"arrivals": "poisson"})"},
      {"scenario.burst: give either rate or burst",
       R"({"rate": 10, "burst": {"size": 2, "every": "1s"}})"},
      {"scenario.burst.size: must be a whole number from 1",
       R"({"burst": {"size": 0, "every": "1s"}})"},
      {"scenario.burst.every: must be longer than 0s", R"({"burst": {"size": 1, "every": "0s"}})"},
      {"scenario.burst.every: must be at most the duration",
       R"({"burst": {"size": 1, "every": "2s"}})"},
      {"scenario.burst.often: unknown key", R"({"burst": {"size": 1, "every": "1s", "often": 1}})"},
      {"scenario.think_time: is for the closed loop", R"({"rate": 10, "think_time": "1ms"})"},
      {"scenario.think_time: is for the closed loop",
       R"({"burst": {"size": 1, "every": "1s"}, "think_time": "1ms"})"},
      {"scenario.background.idle: must be a whole number", R"({"background": {"idle": -1}})"},
      {"scenario.background.bytes_per_second: must be a whole number from 1",
       R"({"background": {"bytes_per_second": 0}})"},
      {"scenario.shutdown_after: must be shorter than the duration", R"({"shutdown_after": "1s"})"},
      {"scenario.shutdown_after: must be longer than 0s", R"({"shutdown_after": "0s"})"},
      {"scenario.request.method: CONNECT", R"({"request": {"method": "CONNECT"}})"},
      {"scenario.expect.body: an answer to HEAD has none", R"({"request": {"method": "HEAD"}})"},
  };
  for (const auto& mistake : mistakes) {
    json spec = good_builtin();
    spec["point"].merge_patch(json::parse(mistake.point));
    try {
      read_spec(spec.dump());
      ADD_FAILURE() << "taken: " << mistake.message_has;
    } catch (const cli::UsageError& error) {
      EXPECT_TRUE(std::string(error.what()).starts_with(mistake.message_has)) << error.what();
    }
  }
  json spec = good_builtin();
  spec["timeout"] = "61s";
  EXPECT_THROW(read_spec(spec.dump()), cli::UsageError);
  spec["timeout"] = "999us";
  EXPECT_THROW(read_spec(spec.dump()), cli::UsageError);
}

TEST(ReadSpec, RefusesForWrkWhatWrkCannotDo) {
  for (const char* point : {R"({"pipeline": 2})", R"({"think_time": "1ms"})", R"({"rate": 10})",
                            R"({"burst": {"size": 1, "every": "1s"}})",
                            R"({"background": {"idle": 1}})", R"({"shutdown_after": "10ms"})"}) {
    json spec = good();
    spec["point"].merge_patch(json::parse(point));
    const std::string key = json::parse(point).begin().key();
    try {
      read_spec(spec.dump());
      ADD_FAILURE() << "taken: " << point;
    } catch (const cli::UsageError& error) {
      EXPECT_EQ(error.what(),
                "scenario." + key + ": the driver wrk cannot do this; take the driver builtin");
    }
  }
  json spec = good();
  spec["point"]["background"] = {{"idle", 0}, {"bytes_per_second", 10}};
  spec["point"]["pipeline"] = 1;
  EXPECT_EQ(read_spec(spec.dump()).driver, "wrk");
}

TEST(ReadSpec, RefusesWhatIsNoJson) {
  for (const char* text : {"", "{", "[]", "null", "{} {}"}) {
    EXPECT_THROW(read_spec(text), cli::UsageError) << text;
  }
}

}  // namespace
}  // namespace spawnpool::trial
