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
    "limits": {"error_share": 0.01, "ready": "3s", "stop": "4s"},
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
  EXPECT_EQ(spec.limits.error_share, 0.01);
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
      {"driver: unknown driver 'ab'; known: wrk", set("/driver", "ab")},
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
       set("/scenario/request/method", "HEAD")},
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
      {"accounting.requests_per_connection: must be a whole number from 2",
       set("/accounting/requests_per_connection", 1)},
      {"limits.error_share: must be a number from 0 to 1", set("/limits/error_share", 1.5)},
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

TEST(ReadSpec, RefusesWhatIsNoJson) {
  for (const char* text : {"", "{", "[]", "null", "{} {}"}) {
    EXPECT_THROW(read_spec(text), cli::UsageError) << text;
  }
}

}  // namespace
}  // namespace spawnpool::trial
