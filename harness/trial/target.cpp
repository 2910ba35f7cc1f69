#include "harness/trial/target.hpp"

#include <signal.h>  // NOLINT(modernize-deprecated-headers): SIGTERM and SIGRTMAX are POSIX

#include <algorithm>
#include <chrono>

#include "harness/trial/failure.hpp"
#include "servers/cli/cli.hpp"

namespace spawnpool::trial {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

// How often a target is asked whether it is ready.
constexpr auto ready_poll = 5ms;
// A check asks whether an answer is right, not how soon it comes: a time-out of the load that is
// shorter than this is none for it.
constexpr std::chrono::nanoseconds check_patience = 1s;

std::vector<std::string> with_port(std::vector<std::string> command, std::uint16_t port) {
  const std::string placeholder = "{port}";
  for (std::string& argument : command) {
    for (std::size_t at = argument.find(placeholder); at != std::string::npos;
         at = argument.find(placeholder, at)) {
      argument.replace(at, placeholder.size(), std::to_string(port));
    }
  }
  return command;
}

std::string excerpt(const std::string& text) {
  constexpr std::size_t longest = 60;
  return json(text.substr(0, longest)).dump(-1, ' ', true, json::error_handler_t::replace) +
         (text.size() > longest ? "…" : "");
}

// "at byte 7: "worl…" instead of "Worl…"".
std::string difference(const std::string& got, const ExpectSpec& expect) {
  if (!expect.body) {
    return "the body has " + std::to_string(got.size()) + " bytes, expected " +
           std::to_string(expect.body_bytes);
  }
  const std::string& wanted = *expect.body;
  const auto at = static_cast<std::size_t>(
      std::mismatch(got.begin(), got.end(), wanted.begin(), wanted.end()).first - got.begin());
  return "the body has " + std::to_string(got.size()) + " bytes, expected " +
         std::to_string(wanted.size()) + "; from byte " + std::to_string(at) + " on it is " +
         excerpt(got.substr(at)) + ", expected " + excerpt(wanted.substr(at));
}

}  // namespace

Target::Target(Waiter& waiter, const TargetSpec& spec, const LimitsSpec& limits,
               const std::string& server_program)
    : waiter_(waiter), spec_(spec), limits_(limits) {
  if (!spec.model.empty()) {
    command_ = {server_program, "--model", spec.model, "--port", "0"};
    command_.insert(command_.end(), spec.options.begin(), spec.options.end());
  } else {
    endpoint_.port = spec.port.value_or(spec.ready_line ? 0 : free_port());
    command_ = with_port(spec.command, endpoint_.port);
  }
}

void Target::start(Guard& guard, const TargetLaunch& launch) {
  if (endpoint_.port != 0 && accepts_connections(waiter_, endpoint_, Clock::now() + 1s)) {
    throw TrialFailure("port-in-use", "port " + std::to_string(endpoint_.port) +
                                          " is in use by another process; end it or choose "
                                          "another port");
  }
  ChildOptions options;
  options.argv = launch.wrapper;
  options.argv.insert(options.argv.end(), command_.begin(), command_.end());
  options.environment = launch.environment;
  options.cpus = launch.cpus;
  options.inherit = launch.inherit;
  options.before_exec = launch.before_exec;
  options.capture_stdout = spec_.ready_line;
  try {
    process_.emplace(waiter_, guard, options);
  } catch (const StartError& error) {
    throw TrialFailure("target-not-started", error.what());
  }
}

void Target::wait_ready() {
  const auto deadline = Clock::now() + limits_.ready;
  while (Clock::now() < deadline) {
    const bool ready =
        spec_.ready_line
            ? read_ready_line()
            : accepts_connections(waiter_, endpoint_, std::min(deadline, Clock::now() + 1s));
    // What accepted may be somebody else who took the port while the target failed to: look twice.
    if (waiter_.wait(process_->pidfd(), POLLIN, Clock::now() + ready_poll)) {
      fail_unready();
    }
    if (ready) {
      return;
    }
  }
  throw TrialFailure("target-not-ready",
                     "not ready after " + cli::format_duration(limits_.ready) + ": " +
                         (spec_.ready_line ? "no ready line on stdout"
                                           : "nobody accepts connections on port " +
                                                 std::to_string(endpoint_.port)));
}

// True once the line is there. A line that is none fails the trial.
bool Target::read_ready_line() {
  process_->out().drain();
  const std::string& text = process_->out().text();
  const std::size_t end = text.find('\n');
  if (end == std::string::npos) {
    return false;
  }
  const json line = json::parse(text.substr(0, end), nullptr, false);
  const auto bad = [&text, end] {
    throw TrialFailure(
        "target-not-ready",
        "the first line on stdout is no ready line with a port: " + excerpt(text.substr(0, end)));
  };
  if (!line.is_object() || line.value("event", json()) != "ready") {
    bad();
  }
  const json port = line.value("port", json());
  if (!port.is_number_unsigned() || port.get<std::uint64_t>() == 0 ||
      port.get<std::uint64_t>() > 65535) {
    bad();
  }
  endpoint_.port = port.get<std::uint16_t>();
  const json address = line.value("address", json("127.0.0.1"));
  if (!address.is_string()) {
    bad();
  }
  const json status_signal = line.value("status_signal", json());
  if (status_signal.is_number_unsigned() && status_signal.get<int>() <= SIGRTMAX) {
    status_signal_ = status_signal.get<int>();
  }
  endpoint_.address = address == "0.0.0.0" ? "127.0.0.1" : address.get<std::string>();
  return true;
}

void Target::fail_unready() {
  const auto status = process_->wait_exit(Clock::now() + 1s).value_or(ExitStatus{});
  throw TrialFailure("target-died-before-ready",
                     "the target " + status.text() + " before it was ready" +
                         (status.ok() ? "; start it in the foreground" : ""));
}

CheckResult Target::check(const ScenarioSpec& scenario, std::chrono::nanoseconds timeout) {
  timeout = std::max(timeout, check_patience);
  const bool close = scenario.requests_per_connection == 1;
  const std::string request = request_bytes(scenario.request, endpoint_, close);
  const auto fail = [](const std::string& message) { throw TrialFailure("wrong-answer", message); };
  CheckResult result;
  try {
    HttpConnection connection(waiter_, endpoint_, Clock::now() + timeout);
    // A kept connection is asked twice: that it is kept is a part of the answer.
    for (int i = 0; i < (close ? 1 : 2); ++i) {
      const HttpAnswer answer = connection.exchange(request, Clock::now() + timeout);
      if (answer.status != scenario.expect.status) {
        fail("status " + std::to_string(answer.status) + ", expected " +
             std::to_string(scenario.expect.status) + "; the body begins " + excerpt(answer.body));
      }
      if (!scenario.expect.takes(answer.body)) {
        fail(difference(answer.body, scenario.expect));
      }
      if (answer.keep_alive == close) {
        fail(close ? "the answer to 'Connection: close' keeps the connection"
                   : "the answer closes a connection that was to be kept");
      }
      result = {answer.status, answer.body.size(), answer.bytes};
    }
    if (close && !connection.closed_by_target(Clock::now() + timeout)) {
      fail("the connection stays open after 'Connection: close'");
    }
  } catch (const HttpError& error) {
    // A dying process closes its sockets before it can be seen to have ended.
    waiter_.wait(process_->pidfd(), POLLIN, Clock::now() + 100ms);
    require_running("while its answer was checked");
    fail(error.what());
  }
  return result;
}

void Target::require_running(const std::string& when) {
  if (process_->running()) {
    return;
  }
  const auto status = process_->wait_exit(Clock::now() + 1s).value_or(ExitStatus{});
  throw TrialFailure("target-died-under-load", "the target " + status.text() + " " + when);
}

std::vector<std::string> Target::stderr_lines() {
  return process_ ? process_->err().last_lines(20) : std::vector<std::string>();
}

void Target::ask_status() {
  if (status_signal_ != 0) {
    take_lines();
    process_->signal(status_signal_);
  }
}

void Target::take_lines() {
  process_->out().drain();
  while (const auto text = process_->out().take_line()) {
    json line = json::parse(*text, nullptr, false);
    const json event = line.is_object() ? line.value("event", json()) : json();
    if (event == "status") {
      status_lines_.push_back(std::move(line));
    } else if (event == "exit") {
      exit_line_ = std::move(line);
    }
  }
}

Measured<StatusSeries> Target::status_series(Clock::time_point origin) {
  if (status_signal_ == 0) {
    return Unmeasured{"the target offers no status lines"};
  }
  take_lines();
  StatusSeries series;
  try {
    for (const json& line : status_lines_) {
      const Clock::time_point at{
          std::chrono::nanoseconds(line.at("monotonic_ns").get<std::int64_t>())};
      series.t_s.push_back(std::chrono::duration<double>(at - origin).count());
      series.connections_open.push_back(line.at("connections").at("open"));
      series.threads_busy.push_back(line.at("threads").at("busy"));
      series.threads_ready.push_back(line.at("threads").at("ready"));
      series.queued.push_back(line.at("queued"));
    }
  } catch (const json::exception& error) {
    return Unmeasured{std::string("a status line of the target is not as ours are: ") +
                      error.what()};
  }
  return series;
}

std::optional<Reason> Target::stop() {
  const auto [status, forced] = process_->stop(limits_.stop);
  if (forced) {
    return Reason{"target-did-not-stop", "the target went on for " +
                                             cli::format_duration(limits_.stop) +
                                             " after SIGTERM and had to be killed"};
  }
  // A foreign server may end on SIGTERM as it likes, but not crash; ours promise 0.
  const bool crashed = status.signalled() && status.signal() != SIGTERM;
  if (crashed || (!spec_.model.empty() && !status.ok())) {
    return Reason{"target-did-not-stop", "after SIGTERM the target " + status.text()};
  }
  return std::nullopt;
}

json Target::exit_counters() {
  if (!spec_.ready_line) {
    return nullptr;
  }
  take_lines();
  return exit_line_.value("counters", json());
}

}  // namespace spawnpool::trial
