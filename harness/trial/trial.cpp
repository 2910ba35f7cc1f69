#include "harness/trial/trial.hpp"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <iomanip>
#include <optional>
#include <sstream>
#include <system_error>

#include "harness/cost/process_usage.hpp"
#include "harness/load/histogram.hpp"
#include "harness/trial/accounting.hpp"
#include "harness/trial/failure.hpp"
#include "harness/trial/processes.hpp"
#include "harness/trial/target.hpp"
#include "harness/trial/validity.hpp"
#include "harness/trial/wrk_driver.hpp"

namespace spawnpool::trial {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

// Often enough for threads that come with connections, seldom enough for the generator's core,
// which the trial itself runs on.
constexpr auto thread_sample_period = 50ms;

std::string utc_now() {
  const auto now = std::chrono::system_clock::now();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  const auto milliseconds = std::chrono::floor<std::chrono::milliseconds>(now - seconds);
  const std::time_t time = std::chrono::system_clock::to_time_t(seconds);
  std::tm parts{};
  gmtime_r(&time, &parts);
  std::ostringstream text;
  text << std::put_time(&parts, "%FT%T") << '.' << std::setw(3) << std::setfill('0')
       << milliseconds.count() << 'Z';
  return text.str();
}

double seconds(nanoseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

std::uint64_t thread_count(const std::vector<pid_t>& processes) {
  std::uint64_t threads = 0;
  for (const pid_t pid : processes) {
    threads += read_task_stat(std::to_string(pid)).value_or(TaskStat{}).threads;
  }
  return threads;
}

// The numbers that the driver wrk cannot give.
void state_limits(TrialResult& result) {
  result.load.offered_rps = Unmeasured{"closed loop: no rate is offered"};
  result.load.rejected = Unmeasured{"the driver wrk does not tell refused from failed requests"};
  result.load.send_lag_us = Unmeasured{"closed loop: no send time is intended"};
  result.server.syscalls_per_request = Unmeasured{"system calls are not counted yet"};
  result.server.instructions_per_request = Unmeasured{"instructions are not counted yet"};
}

class Trial {
 public:
  Trial(const TrialSpec& spec, const Cpus& cpus, const Programs& programs, Waiter& waiter,
        Guard& guard)
      : spec_(spec),
        programs_(programs),
        waiter_(waiter),
        guard_(guard),
        target_(waiter, spec.target, spec.limits, programs.server) {
    result_.target = spec.target.name;
    result_.scenario = spec.scenario.name;
    result_.point = spec.point;
    result_.block = spec.block;
    result_.position = spec.position;
    result_.seed = spec.seed;
    result_.driver = spec.driver;
    result_.started_at = utc_now();
    result_.command = target_.command();
    result_.cpus = cpus;
    state_limits(result_);
  }

  TrialResult run() {
    try {
      start();
      warm_up();
      measure();
    } catch (const TrialFailure& failure) {
      result_.mark(Status::failed, failure.reason());
    }
    stop();
    if (result_.status != Status::failed) {
      account();
    }
    return std::move(result_);
  }

 private:
  void start() {
    TargetLaunch launch;
    launch.cpus = result_.cpus.server;
    target_.start(guard_, launch);
    usage_.emplace(target_.process().pid());
    target_.wait_ready();
    result_.check = target_.check(spec_.scenario, spec_.timeout);
  }

  void warm_up() {
    if (spec_.warmup == nanoseconds::zero()) {
      result_.warmup_s = 0.0;
      return;
    }
    const WrkRun run = drive(spec_.warmup, [] {});
    result_.warmup_s = seconds(std::chrono::microseconds(run.report.duration_us));
  }

  void measure() {
    try {
      measure_window();
    } catch (const cost::ProcessGone&) {
      target_.require_running("under load");
      throw;
    }
    try {
      check_again();
    } catch (const TrialFailure&) {
      result_.load = {};
      result_.server = {};
      result_.window_s = {};
      state_limits(result_);
      throw;
    }
  }

  // A target that got stuck on the way would have given few, but good numbers. Refusing while it is
  // still busy with the end of the load is its right.
  void check_again() {
    for (const auto deadline = Clock::now() + spec_.timeout;;) {
      try {
        target_.check(spec_.scenario, spec_.timeout);
        return;
      } catch (const TrialFailure& failure) {
        if (!target_.process().running() || Clock::now() >= deadline) {
          throw TrialFailure(failure.reason().code,
                             std::string("after the load: ") + failure.what());
        }
      }
      waiter_.sleep_until(Clock::now() + 20ms);
    }
  }

  void measure_window() {
    const std::string no_reset = reset_rss_peak();
    const std::vector<pid_t> processes = usage_->processes();
    const cost::UsageSnapshot before = usage_->read();
    std::uint64_t threads_peak = before.threads;
    const WrkRun run = drive(spec_.duration, [&processes, &threads_peak] {
      threads_peak = std::max(threads_peak, thread_count(processes));
    });
    const cost::UsageSnapshot after = usage_->read();
    if (run.report.requests == 0) {
      throw TrialFailure("error-share", "not one request was answered in the window");
    }

    const double window = static_cast<double>(run.report.duration_us) / 1e6;
    result_.window_s = window;
    fill_load(run);
    fill_server(before, after, static_cast<double>(run.report.requests), window);
    result_.server.threads_peak = std::max(threads_peak, after.threads);
    if (no_reset.empty()) {
      result_.server.rss_peak_bytes = after.rss_peak_bytes;
    } else {
      result_.server.rss_peak_bytes = Unmeasured{no_reset};
    }

    LoadQuality quality;
    quality.generator_utilization = run.cpu_utilization;
    quality.server_utilization = result_.server.cpu_utilization.value() != nullptr
                                     ? *result_.server.cpu_utilization.value()
                                     : 1.0;
    quality.shared_core = result_.cpus.shared;
    quality.error_share_limit = spec_.limits.error_share;
    for (Reason& reason : doubts(run.report, quality)) {
      result_.mark(Status::invalid, std::move(reason));
    }
  }

  WrkRun drive(nanoseconds duration, const std::function<void()>& sample) {
    WrkLoad load;
    load.program = programs_.wrk;
    load.request = request_bytes(spec_.scenario.request, target_.endpoint(),
                                 spec_.scenario.requests_per_connection == 1);
    load.connections = spec_.scenario.connections;
    load.duration = duration;
    load.timeout = spec_.timeout;
    load.cpus = result_.cpus.generator;
    return run_wrk(waiter_, guard_, target_, load, thread_sample_period, sample);
  }

  // Returns why it could not be done, or nothing.
  std::string reset_rss_peak() {
    try {
      usage_->reset_rss_peak();
      return {};
    } catch (const std::system_error& error) {
      return error.what();
    }
  }

  void fill_load(const WrkRun& run) {
    const WrkReport& report = run.report;
    LoadResult& load = result_.load;
    load.requests = report.requests;
    load.throughput_rps =
        static_cast<double>(report.requests) * 1e6 / static_cast<double>(report.duration_us);
    load.errors = {report.connect_errors, report.read_errors, report.write_errors,
                   report.timeout_errors, report.status_errors};
    load.latency_us = latency_result(report);
    load::Histogram histogram;
    bool recorded = true;
    for (const auto& [value, count] : report.latency) {
      recorded = histogram.record(value, count) && recorded;
    }
    if (recorded) {
      load.latency_histogram = histogram.encode();
    } else {
      load.latency_histogram = Unmeasured{"a latency is beyond the histogram's range"};
    }
    load.generator_cpu_utilization = run.cpu_utilization;
  }

  void fill_server(const cost::UsageSnapshot& before, const cost::UsageSnapshot& after,
                   double requests, double window) {
    ServerResult& server = result_.server;
    cost::UsageDelta delta;
    try {
      delta = cost::usage_between(before, after);
    } catch (const cost::ProcessGone&) {
      throw;
    } catch (const std::runtime_error& error) {
      const Unmeasured missing{error.what()};
      server.cpu_us_per_request = missing;
      server.cpu_user_us_per_request = missing;
      server.cpu_system_us_per_request = missing;
      server.cpu_utilization = missing;
      server.context_switches_per_request = missing;
      server.page_faults_per_request = missing;
      return;
    }
    server.cpu_us_per_request = seconds(delta.cpu) * 1e6 / requests;
    server.cpu_user_us_per_request = seconds(delta.user) * 1e6 / requests;
    server.cpu_system_us_per_request = seconds(delta.system) * 1e6 / requests;
    server.cpu_utilization =
        seconds(delta.cpu) / window / static_cast<double>(result_.cpus.server.size());
    server.page_faults_per_request =
        static_cast<double>(delta.minor_faults + delta.major_faults) / requests;
    if (delta.context_switches) {
      server.context_switches_per_request = static_cast<double>(*delta.context_switches) / requests;
    } else {
      server.context_switches_per_request = Unmeasured{delta.context_switches_unmeasured};
    }
  }

  void stop() {
    if (!target_.started()) {
      return;
    }
    const auto reason = target_.stop();
    result_.target_stderr = target_.stderr_lines();
    if (result_.status == Status::failed) {
      return;  // how it stopped says nothing new
    }
    if (reason) {
      result_.mark(Status::invalid, *reason);
    }
    const auto counters = target_.exit_counters();
    const auto threads = counters.is_object() ? counters.find("threads_started") : counters.end();
    if (counters.is_object() && threads != counters.end() && threads->is_number_unsigned()) {
      result_.server.threads_started = threads->get<std::uint64_t>();
    } else {
      result_.server.threads_started =
          Unmeasured{"the target has no exit line with counters.threads_started"};
    }
  }

  void account() {
    try {
      result_.server.allocations = count_allocations(waiter_, guard_, spec_, result_.cpus.server,
                                                     programs_.server, programs_.counter_library);
    } catch (const TrialFailure& failure) {
      result_.mark(Status::invalid, failure.reason());
      const Unmeasured missing{failure.what()};
      result_.server.allocations = {missing, missing, missing, missing};
    }
  }

  const TrialSpec& spec_;
  const Programs& programs_;
  Waiter& waiter_;
  Guard& guard_;
  TrialResult result_;
  std::optional<cost::ProcessUsage> usage_;
  Target target_;
};

}  // namespace

TrialResult run_trial(const TrialSpec& spec, const Cpus& cpus, const Programs& programs,
                      Waiter& waiter, Guard& guard) {
  return Trial(spec, cpus, programs, waiter, guard).run();
}

}  // namespace spawnpool::trial
