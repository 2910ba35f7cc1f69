#include "harness/trial/wrk_driver.hpp"

#include <signal.h>  // NOLINT(modernize-deprecated-headers): SIGINT of POSIX
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <system_error>

#include "harness/cost/process_usage.hpp"
#include "harness/trial/failure.hpp"
#include "harness/trial/processes.hpp"
#include "harness/trial/wrk_load.hpp"
#include "harness/trial/wrk_script.hpp"
#include "servers/cli/cli.hpp"

namespace spawnpool::trial {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr auto wrk_start_grace = 10s;  // resolving, reading the script, starting threads
constexpr auto wrk_end_grace = 30s;  // its threads end within 100 ms; then the histogram is written
// wrk's threads look for the end once in 100 ms: told half a period early they end in time.
constexpr auto end_lead = 50ms;

struct WrkRun {
  WrkReport report;
  double cpu_utilization = 0;  // of wrk while it loads, per CPU it has, 0 to 1
  double cpu_s = 0;            // the same, as time
};

// A Lua string literal of any bytes.
std::string lua_literal(const std::string& bytes) {
  std::string literal = "\"";
  for (const char byte : bytes) {
    std::string code = std::to_string(static_cast<unsigned char>(byte));
    literal += "\\" + std::string(3 - code.size(), '0') + code;
  }
  return literal + "\"";
}

// The script as a file without a name, for wrk to open through /proc/self/fd.
UniqueFd script_file(const std::string& request) {
  const std::string script = "local request = " + lua_literal(request) + "\n" + wrk_report_lua;
  UniqueFd file(memfd_create("wrk_report.lua", MFD_CLOEXEC));
  if (!file ||
      write(file.get(), script.data(), script.size()) != static_cast<ssize_t>(script.size())) {
    throw std::system_error(errno, std::generic_category(), "memfd for wrk's script");
  }
  return file;
}

// wrk splits its connections evenly over its threads and forgets the rest.
std::size_t thread_count(std::size_t cpus, unsigned connections) {
  std::size_t threads = std::min<std::size_t>(cpus, connections);
  while (connections % threads != 0) {
    --threads;
  }
  return threads;
}

// Whether wrk's main thread has set its SIGINT handler. It does so after it has started its
// threads, and then sleeps for the duration of the load. A SIGINT before that moment would be
// ignored.
bool handles_interrupt(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  std::string key;
  while (status >> key) {
    if (key == "SigCgt:") {
      std::uint64_t caught = 0;
      status >> std::hex >> caught;
      return (caught >> (SIGINT - 1) & 1) != 0;
    }
    status.ignore(4096, '\n');
  }
  return false;
}

std::string last_words(ChildProcess& wrk) {
  const auto lines = wrk.err().last_lines(1);
  return lines.empty() ? "" : ": " + lines.front();
}

// Waits for wrk's end or the deadline. True: wrk has ended. Throws when the target has.
bool wait_wrk(Waiter& waiter, ChildProcess& wrk, Target& target, Clock::time_point deadline) {
  std::array events = {pollfd{target.process().pidfd(), POLLIN, 0}, pollfd{wrk.pidfd(), POLLIN, 0}};
  waiter.wait(events, deadline);
  if (events[0].revents != 0) {
    target.require_running("under load");
  }
  return events[1].revents != 0;
}

[[noreturn]] void fail_ended(ChildProcess& wrk) {
  const auto status = wrk.wait_exit(Clock::now() + 1s).value_or(ExitStatus{});
  throw TrialFailure("driver-failed", "wrk " + status.text() + " too early" + last_words(wrk));
}

ChildOptions command(const DriverContext& context, const UniqueFd& script, std::size_t threads,
                     nanoseconds duration) {
  // wrk's own duration is a net only: it has whole seconds, SIGINT has not.
  const auto longest = std::chrono::ceil<std::chrono::seconds>(duration) + 60s;
  const Endpoint& endpoint = context.target.endpoint();
  ChildOptions options;
  options.argv = {context.program,
                  "--threads=" + std::to_string(threads),
                  "--connections=" + std::to_string(context.spec.scenario.connections),
                  "--duration=" + std::to_string(longest.count()) + "s",
                  "--timeout=" + std::to_string(context.spec.timeout / 1s) + "s",
                  "--script=/proc/self/fd/" + std::to_string(script.get()),
                  "http://" + endpoint.address + ":" + std::to_string(endpoint.port) + "/"};
  options.cpus = context.cpus;
  options.inherit = {script.get()};
  options.capture_stdout = true;
  options.keep_stdout = 256 << 20;
  return options;
}

WrkRun run_wrk(const DriverContext& context, nanoseconds duration,
               const std::function<void()>& sample) {
  const ScenarioSpec& scenario = context.spec.scenario;
  Waiter& waiter = context.waiter;
  Target& target = context.target;
  const UniqueFd script = script_file(
      request_bytes(scenario.request, target.endpoint(), scenario.requests_per_connection == 1));
  const std::size_t threads = thread_count(context.cpus.size(), scenario.connections);
  const auto launched = Clock::now();
  ChildProcess wrk(waiter, context.guard, command(context, script, threads, duration));

  while (!handles_interrupt(wrk.pid()) ||
         read_task_stat(std::to_string(wrk.pid())).value_or(TaskStat{}).state != 'S') {
    if (wait_wrk(waiter, wrk, target, Clock::now() + 1ms)) {
      fail_ended(wrk);
    }
    if (Clock::now() > launched + wrk_start_grace) {
      throw TrialFailure("driver-failed", "wrk did not begin within 10 s" + last_words(wrk));
    }
  }

  const auto begin = Clock::now();
  const auto end = begin + std::max<nanoseconds>(duration - end_lead, 1ms);
  const nanoseconds cpu_begin = cost::process_cpu_time(wrk.pid());
  const nanoseconds period = context.hooks.sample_period;
  for (auto next = begin + period; Clock::now() < end; next += period) {
    if (wait_wrk(waiter, wrk, target, std::min(next, end))) {
      fail_ended(wrk);
    }
    sample();
  }
  const nanoseconds cpu = cost::process_cpu_time(wrk.pid()) - cpu_begin;
  const nanoseconds measured = Clock::now() - begin;
  // To the thread that sleeps: another one that takes the signal ends the load and lets that one
  // sleep.
  ::syscall(SYS_tgkill, wrk.pid(), wrk.pid(), SIGINT);
  if (!wait_wrk(waiter, wrk, target, Clock::now() + wrk_end_grace)) {
    throw TrialFailure("driver-failed", "wrk did not end within 30 s of SIGINT");
  }
  const nanoseconds lived = Clock::now() - launched;
  const ExitStatus status = wrk.wait_exit(Clock::now() + 1s).value_or(ExitStatus{});
  if (!status.ok()) {
    throw TrialFailure("driver-failed", "wrk " + status.text() + last_words(wrk));
  }

  WrkRun run;
  try {
    run.report = read_wrk_report(wrk.out().text(), scenario.connections);
  } catch (const WrkReportError& error) {
    throw TrialFailure("driver-failed", error.what() + last_words(wrk));
  }
  // wrk reads the wall clock: a step of it, or a signal lost, would falsify every rate.
  const auto said = std::chrono::microseconds(run.report.duration_us);
  if (said < measured - 10ms || said > lived + 10ms) {
    throw TrialFailure("driver-failed", "wrk says it ran for " + cli::format_duration(said) +
                                            ", the clock says " + cli::format_duration(measured));
  }
  run.cpu_s = std::chrono::duration<double>(cpu).count();
  run.cpu_utilization = static_cast<double>(cpu.count()) / static_cast<double>(measured.count()) /
                        static_cast<double>(threads);
  return run;
}

}  // namespace

DriverRun drive_with_wrk(const DriverContext& context) {
  const auto seconds = [](const WrkRun& run) {
    return std::chrono::duration<double>(std::chrono::microseconds(run.report.duration_us)).count();
  };
  DriverRun result;
  if (context.spec.warmup > nanoseconds::zero()) {
    result.warmup_s = seconds(run_wrk(context, context.spec.warmup, [] {}));
  }
  context.hooks.prepare();
  context.hooks.window_begin();
  const WrkRun run = run_wrk(context, context.spec.duration, context.hooks.sample);
  context.hooks.window_end();
  result.window_s = seconds(run);
  result.requests = run.report.requests;
  result.generator_cpu_s = run.cpu_s;
  result.load = load_result(run.report, run.cpu_utilization);
  result.quality.error_share = error_share(run.report);
  result.quality.lost_connections = run.report.connect_errors;
  result.quality.generator_busy = run.cpu_utilization;
  return result;
}

}  // namespace spawnpool::trial
