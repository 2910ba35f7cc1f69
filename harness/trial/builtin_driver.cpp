#include "harness/trial/builtin_driver.hpp"

#include <signal.h>  // NOLINT(modernize-deprecated-headers): SIGTERM of POSIX
#include <sys/mman.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <span>
#include <system_error>

#include "harness/trial/builtin_report.hpp"
#include "harness/trial/failure.hpp"
#include "servers/cli/cli.hpp"

namespace spawnpool::trial {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr auto start_grace = 30s;  // connecting, which a full server may make slow
constexpr auto end_grace = 30s;    // what is under way ends with the time-out; then the report
constexpr int exit_invalid = 3;    // spawnpool-load doubts its own measurement, but has a report

// The body as a file without a name, for the generator to open through /proc/self/fd.
UniqueFd body_file(const std::string& body) {
  UniqueFd file(memfd_create("request-body", MFD_CLOEXEC));
  for (std::size_t written = 0; file && written < body.size();) {
    const ssize_t count = write(file.get(), body.data() + written, body.size() - written);
    if (count <= 0) {
      file.reset();
      break;
    }
    written += static_cast<std::size_t>(count);
  }
  if (!file) {
    throw std::system_error(errno, std::generic_category(), "memfd for the request's body");
  }
  return file;
}

std::string decimal(double value) {
  std::array<char, 64> text{};
  const auto end =
      std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed).ptr;
  return {text.data(), end};
}

// A thread for each CPU needs a connection of its own.
std::size_t thread_count(const DriverContext& context) {
  return std::min<std::size_t>(context.cpus.size(), context.spec.scenario.connections);
}

std::string cpu_list(const DriverContext& context) {
  std::string list;
  for (const int cpu : std::span(context.cpus).first(thread_count(context))) {
    list.append(list.empty() ? "" : ",").append(std::to_string(cpu));
  }
  return list;
}

std::vector<std::string> request_arguments(const ScenarioSpec& scenario, const UniqueFd& body) {
  const RequestSpec& request = scenario.request;
  std::vector<std::string> arguments = {"--method=" + request.method};
  for (const auto& [name, value] : request.headers) {
    arguments.push_back(std::string("--header=").append(name).append(": ").append(value));
  }
  if (body) {
    arguments.push_back("--body-file=/proc/self/fd/" + std::to_string(body.get()));
  }
  arguments.push_back("--expect-status=" + std::to_string(scenario.expect.status));
  arguments.push_back("--expect-bytes=" + std::to_string(scenario.expect.body_bytes));
  return arguments;
}

std::vector<std::string> pacing_arguments(const ScenarioSpec& scenario, bool shared_core) {
  std::vector<std::string> arguments;
  if (scenario.rate) {
    arguments.push_back("--rate=" + decimal(*scenario.rate));
    arguments.push_back("--arrivals=" + scenario.arrivals);
  }
  if (scenario.burst) {
    arguments.push_back("--burst=" + std::to_string(scenario.burst->size));
    arguments.push_back("--burst-every=" + cli::format_duration(scenario.burst->every));
  }
  // Polling spares the server the waking of a generator that sleeps, which it pays for itself. On a
  // shared core, polling would take the time of the server that it waits for.
  arguments.emplace_back(shared_core ? "--pacing=sleep" : "--pacing=busy-poll");
  if (scenario.think_time > nanoseconds::zero()) {
    arguments.push_back("--think-time=" + cli::format_duration(scenario.think_time));
  }
  return arguments;
}

std::vector<std::string> background_arguments(const BackgroundSpec& background) {
  std::vector<std::string> arguments;
  const auto add = [&arguments](const char* option, unsigned count) {
    if (count > 0) {
      arguments.push_back(option + std::to_string(count));
    }
  };
  add("--idle=", background.idle);
  add("--slow-senders=", background.slow_senders);
  add("--slow-readers=", background.slow_readers);
  if (background.slow_senders + background.slow_readers > 0) {
    add("--slow-rate=", background.bytes_per_second.value_or(0));
  }
  return arguments;
}

ChildOptions command(const DriverContext& context, const UniqueFd& body) {
  const TrialSpec& spec = context.spec;
  const ScenarioSpec& scenario = spec.scenario;
  const Endpoint& endpoint = context.target.endpoint();
  ChildOptions options;
  options.argv = {
      context.program,
      "http://" + endpoint.address + ":" + std::to_string(endpoint.port) + scenario.request.path,
      "--connections=" + std::to_string(scenario.connections),
      "--requests-per-connection=" + std::to_string(scenario.requests_per_connection),
      "--pipeline=" + std::to_string(scenario.pipeline),
      "--warmup=" + cli::format_duration(spec.warmup),
      "--duration=" + cli::format_duration(spec.duration),
      "--timeout=" + cli::format_duration(spec.timeout),
      "--seed=" + std::to_string(spec.seed),
      "--cpus=" + cpu_list(context),
      "--events",
      "--json=-",
      "--quiet"};
  for (const auto& arguments :
       {request_arguments(scenario, body), pacing_arguments(scenario, context.shared_core),
        background_arguments(scenario.background)}) {
    options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  }
  options.cpus = context.cpus;
  if (body) {
    options.inherit = {body.get()};
  }
  options.capture_stdout = true;
  options.keep_stdout = 256 << 20;
  return options;
}

// One run of spawnpool-load against a target.
class BuiltinLoad {
 public:
  explicit BuiltinLoad(const DriverContext& context)
      : context_(context),
        body_(context.spec.scenario.request.body.empty()
                  ? UniqueFd()
                  : body_file(context.spec.scenario.request.body)),
        generator_(context.waiter, context.guard, command(context, body_)) {}

  DriverRun run() {
    await_window();
    pass_window();
    return finish();
  }

 private:
  using Event = std::string;

  void await_window() {
    const auto deadline = Clock::now() + context_.spec.warmup + start_grace;
    for (Event event = next_event(); event != "window-begin"; event = next_event()) {
      if (event == "connected") {
        context_.hooks.prepare();  // meanwhile it warms up
        continue;
      }
      wait(deadline);
      if (Clock::now() >= deadline) {
        throw TrialFailure("driver-failed",
                           "spawnpool-load did not begin within 30 s" + last_words());
      }
    }
  }

  void pass_window() {
    const auto begin = Clock::now();
    const auto deadline = begin + context_.spec.duration + end_grace;
    const auto& shutdown_after = context_.spec.scenario.shutdown_after;
    const auto shutdown = shutdown_after ? begin + *shutdown_after : Clock::time_point::max();
    context_.hooks.window_begin();
    auto next = begin + context_.hooks.sample_period;
    while (next_event() != "window-end") {
      wait(std::min(next, told_ ? Clock::time_point::max() : shutdown));
      const auto now = Clock::now();
      if (now >= deadline) {
        throw TrialFailure("driver-failed", "spawnpool-load went on beyond its duration");
      }
      if (now >= shutdown && !told_) {
        shut_down();
      }
      if (now >= next) {
        next += context_.hooks.sample_period;
        if (!told_) {
          context_.hooks.sample();
        }
      }
    }
    if (shutdown_after && !told_) {
      shut_down();
    } else if (!told_) {
      context_.hooks.window_end();
    }
  }

  DriverRun finish() {
    const auto deadline = Clock::now() + context_.spec.timeout + end_grace;
    while (!ended_ && Clock::now() < deadline) {
      wait(deadline);
    }
    if (!ended_) {
      throw TrialFailure("driver-failed",
                         "spawnpool-load did not end within 30 s of its window" + last_words());
    }
    const ExitStatus status = generator_.wait_exit(Clock::now() + 1s).value_or(ExitStatus{});
    if (!status.ok() && (status.signalled() || WEXITSTATUS(status.wait_status) != exit_invalid)) {
      throw TrialFailure("driver-failed", "spawnpool-load " + status.text() + last_words());
    }
    BuiltinReport report;
    try {
      report = read_builtin_report(generator_.out().text());
    } catch (const BuiltinReportError& error) {
      throw TrialFailure("driver-failed", error.what() + last_words());
    }
    const double* const utilization = report.load.generator.cpu_utilization.value();
    const double generator_cores = utilization != nullptr ? *utilization : 0;  // per thread
    DriverRun run;
    run.load = std::move(report.load);
    run.quality = report.quality;
    run.requests = report.requests;
    run.warmup_s = report.warmup_s;
    run.window_s = report.window_s;
    run.generator_cpu_s =
        generator_cores * report.window_s * static_cast<double>(thread_count(context_));
    if (told_) {
      run.shutdown = report.shutdown;
      run.shutdown->exit_s = await_target();
    }
    return run;
  }

  // Tells the target to end, which then is no failure any more.
  void shut_down() {
    context_.hooks.window_end();
    told_ = Clock::now();
    context_.target.process().signal(SIGTERM);
  }

  // The seconds from the signal until the target had ended.
  Measured<double> await_target() {
    const auto limit = context_.spec.limits.stop;
    if (!gone_ && context_.waiter.wait(context_.target.process().pidfd(), POLLIN, *told_ + limit)) {
      gone_ = Clock::now();
    }
    if (!gone_) {
      return Unmeasured{"the target had not ended " + cli::format_duration(limit) +
                        " after SIGTERM"};
    }
    return std::chrono::duration<double>(*gone_ - *told_).count();
  }

  // The next event that spawnpool-load has written, empty when there is none yet. Throws when it
  // has ended instead.
  Event next_event() {
    while (const auto line = generator_.out().take_line()) {
      const auto json = nlohmann::json::parse(*line, nullptr, false);
      if (json.is_object() && json.value("event", nlohmann::json()).is_string()) {
        return json["event"];
      }
    }
    if (ended_) {
      // A target that dies takes the load with it, and may be seen to have ended only after.
      context_.waiter.wait(context_.target.process().pidfd(), POLLIN, Clock::now() + 100ms);
      if (!told_) {
        context_.target.require_running("under load");
      }
      const ExitStatus status = generator_.wait_exit(Clock::now() + 1s).value_or(ExitStatus{});
      throw TrialFailure("driver-failed",
                         "spawnpool-load " + status.text() + " too early" + last_words());
    }
    return {};
  }

  // Waits until spawnpool-load has written something or ended, or until the deadline. Throws when
  // the target has ended without having been told to.
  void wait(Clock::time_point deadline) {
    const int target = gone_ ? -1 : context_.target.process().pidfd();  // -1: poll leaves it out
    const int out = silent_ ? -1 : generator_.out().fd();
    std::array events = {pollfd{target, POLLIN, 0}, pollfd{generator_.pidfd(), POLLIN, 0},
                         pollfd{out, POLLIN, 0}};
    context_.waiter.wait(events, deadline);
    if (events[0].revents != 0) {
      if (!told_) {
        context_.target.require_running("under load");
      }
      gone_ = Clock::now();
    }
    if (events[1].revents != 0) {
      ended_ = true;
      generator_.out().drain();
    }
    silent_ = silent_ || events[2].revents == POLLHUP;
  }

  std::string last_words() {
    const auto lines = generator_.err().last_lines(1);
    return lines.empty() ? "" : ": " + lines.front();
  }

  const DriverContext& context_;
  UniqueFd body_;
  ChildProcess generator_;
  std::optional<Clock::time_point> told_;  // when the target was told to end
  std::optional<Clock::time_point> gone_;  // when it had
  bool ended_ = false;                     // spawnpool-load has
  bool silent_ = false;                    // it has closed its standard output
};

}  // namespace

DriverRun drive_with_builtin(const DriverContext& context) {
  return BuiltinLoad(context).run();
}

}  // namespace spawnpool::trial
