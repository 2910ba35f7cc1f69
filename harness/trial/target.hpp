// The server under test as a process with an address.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "harness/trial/child_process.hpp"
#include "harness/trial/http_client.hpp"
#include "harness/trial/result.hpp"
#include "harness/trial/spec.hpp"

namespace spawnpool::trial {

// What a target is started with besides its specification.
struct TargetLaunch {
  std::vector<int> cpus;
  std::vector<std::string> environment = {};
  std::vector<int> inherit = {};
  std::vector<std::string> wrapper = {};  // a program and its options, to start the target with
  std::function<void(pid_t)> before_exec = {};  // called with the target's process
};

// Not thread-safe. What is passed by reference must outlive it.
class Target {
 public:
  // Settles the command line; `server_program` is spawnpool-server, for targets given by their
  // model.
  Target(Waiter& waiter, const TargetSpec& spec, const LimitsSpec& limits,
         const std::string& server_program);

  // Starts the process. Throws TrialFailure: port-in-use, target-not-started.
  void start(Guard& guard, const TargetLaunch& launch);

  // Waits until it serves. Throws TrialFailure: target-died-before-ready, target-not-ready.
  void wait_ready();

  // Asks as the load will and compares the answer byte for byte, and whether the connection stays
  // open or is closed as the scenario has it. Waits for an answer for `timeout`, or a second if
  // that is longer. Throws TrialFailure: wrong-answer, target-died-under-load.
  CheckResult check(const ScenarioSpec& scenario, std::chrono::nanoseconds timeout);

  // Asks for a status line, if the target's ready line offers them ("status_signal"), and takes
  // what came of the earlier ones. The answer comes when the target gets to it.
  void ask_status();

  // The answers to ask_status(), timed from `origin` on.
  Measured<StatusSeries> status_series(Clock::time_point origin);

  // Stops it. Returns what it did wrong in stopping, if anything: target-did-not-stop.
  std::optional<Reason> stop();

  // The counters of the exit line after stop(); null when there is no such line.
  nlohmann::json exit_counters();

  // Throws TrialFailure target-died-under-load when the process has ended.
  void require_running(const std::string& when);

  const std::vector<std::string>& command() const { return command_; }
  const Endpoint& endpoint() const { return endpoint_; }
  bool started() const { return process_.has_value(); }
  // Only after start().
  ChildProcess& process() { return *process_; }
  // Up to the last 20 lines; complete once the process has ended.
  std::vector<std::string> stderr_lines();

 private:
  bool read_ready_line();
  [[noreturn]] void fail_unready();
  void take_lines();

  Waiter& waiter_;
  const TargetSpec& spec_;
  const LimitsSpec& limits_;
  std::vector<std::string> command_;
  Endpoint endpoint_;
  std::optional<ChildProcess> process_;
  int status_signal_ = 0;  // 0: it tells no status
  std::vector<nlohmann::json> status_lines_;
  nlohmann::json exit_line_ = nlohmann::json::object();  // empty until it came
};

}  // namespace spawnpool::trial
