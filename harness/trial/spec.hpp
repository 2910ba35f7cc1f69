// What one trial is to do: the input of spawnpool-trial.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spawnpool::trial {

// The server to measure. Exactly one of `model` and `command` is set.
struct TargetSpec {
  std::string name;
  std::string model;                  // a serving model of spawnpool-server
  std::vector<std::string> options;   // further arguments for spawnpool-server
  std::vector<std::string> command;   // any server; "{port}" in an argument becomes a free port
  std::optional<std::uint16_t> port;  // the fixed port `command` listens on
  bool ready_line = false;            // `command` prints the JSON ready line on stdout
};

struct RequestSpec {
  std::string method;
  std::string path;
  std::map<std::string, std::string> headers;
  std::string body;
};

struct ExpectSpec {
  unsigned status = 200;
  std::optional<std::string> body;  // byte for byte; without it only its length counts
  std::uint64_t body_bytes = 0;     // of `body` when that is given

  bool takes(const std::string& answer) const {
    return body ? answer == *body : answer.size() == body_bytes;
  }
};

// Arrivals that come at once, again and again.
struct BurstSpec {
  unsigned size = 0;
  std::chrono::nanoseconds every{};
};

// Clients beside the measured load; all 0: none.
struct BackgroundSpec {
  unsigned idle = 0;  // kept connections that ask nothing
  unsigned slow_senders = 0, slow_readers = 0;
  std::optional<unsigned> bytes_per_second;  // of a slow one; else the generator's default

  bool any() const { return idle + slow_senders + slow_readers > 0; }
};

// The scenario with the point merged over it.
struct ScenarioSpec {
  std::string name;
  RequestSpec request;
  ExpectSpec expect;
  unsigned requests_per_connection = 0;   // 0: connections are kept; 1: a connection per request
  unsigned connections = 0;               // open at once
  unsigned pipeline = 1;                  // requests under way at once on a connection
  std::chrono::nanoseconds think_time{};  // between an answer and the next request, closed loop
  std::optional<double> rate;             // arrivals per second: makes it open loop
  std::string arrivals = "poisson";       // or "uniform": how `rate` is spread
  std::optional<BurstSpec> burst;         // open loop too, instead of `rate`
  BackgroundSpec background;
  // SIGTERM to the target that long into the window, while the load goes on.
  std::optional<std::chrono::nanoseconds> shutdown_after;

  bool open_loop() const { return rate || burst; }
};

// Two passes with `connections` connections each: one request per connection, then this many.
struct AccountingSpec {
  unsigned connections = 0;
  unsigned requests_per_connection = 0;  // at least 2
  // Passes of their own, which take seconds.
  bool syscalls = false;
  bool instructions = false;
  bool perf = false;  // under the trial's own load, a second time
};

struct LimitsSpec {
  double error_share = 0.001;  // errors per attempted request, above which a trial is invalid
  // What others took of the trial's cores, above which it is invalid; nothing: however much.
  std::optional<double> foreign_cpu_share, steal_share;
  std::chrono::nanoseconds ready = std::chrono::seconds(10);  // from start to ready
  std::chrono::nanoseconds stop = std::chrono::seconds(5);    // from SIGTERM to exit
};

struct CpusSpec {
  std::vector<int> server;
  std::vector<int> generator;
};

struct TrialSpec {
  TargetSpec target;
  ScenarioSpec scenario;
  nlohmann::json point = nlohmann::json::object();
  std::string driver;
  std::chrono::nanoseconds warmup{};
  std::chrono::nanoseconds duration{};
  std::chrono::nanoseconds timeout{};  // per request
  std::optional<AccountingSpec> accounting;
  LimitsSpec limits;
  std::optional<CpusSpec> cpus;
  std::int64_t block = 0;
  std::int64_t position = 0;
  std::uint64_t seed = 0;
};

// Reads a specification from JSON. Throws cli::UsageError, which names the path of the value that
// is unknown, missing, of the wrong type or out of range.
TrialSpec read_spec(std::string_view json);

}  // namespace spawnpool::trial
