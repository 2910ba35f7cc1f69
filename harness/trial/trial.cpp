#include "harness/trial/trial.hpp"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <iomanip>
#include <optional>
#include <sstream>
#include <system_error>

#include "harness/cost/process_usage.hpp"
#include "harness/trial/accounting.hpp"
#include "harness/trial/builtin_driver.hpp"
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
// which the trial itself may have to run on.
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

// The numbers that no trial gives yet.
void state_limits(TrialResult& result) {
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
    if (!spec.scenario.shutdown_after) {
      result_.shutdown = Unmeasured{"the target was not to be shut down under load"};
    }
    state_limits(result_);
  }

  TrialResult run() {
    try {
      start();
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

  void measure() {
    try {
      load();
    } catch (const cost::ProcessGone&) {
      target_.require_running("under load");
      throw;
    }
    if (spec_.scenario.shutdown_after) {
      return;  // nobody is left to be checked
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

  // Warm-up and window.
  void load() {
    DriverHooks hooks;
    hooks.prepare = [this] { processes_ = usage_->processes(); };
    hooks.window_begin = [this] { begin_window(); };
    hooks.sample = [this] { threads_peak_ = std::max(threads_peak_, thread_count(processes_)); };
    hooks.window_end = [this] { after_ = usage_->read(); };
    hooks.sample_period = thread_sample_period;
    const DriverContext context{waiter_,
                                guard_,
                                target_,
                                spec_,
                                result_.cpus.generator,
                                result_.cpus.shared,
                                programs_.generator,
                                hooks};
    DriverRun run = spec_.driver == "wrk" ? drive_with_wrk(context) : drive_with_builtin(context);
    result_.warmup_s = run.warmup_s;
    if (run.requests == 0) {
      throw TrialFailure("error-share", "not one request was answered in the window");
    }
    result_.window_s = run.window_s;
    result_.load = std::move(run.load);
    if (run.shutdown) {
      result_.shutdown = *run.shutdown;
    }
    fill_server(run);
    judge(run.quality);
  }

  void begin_window() {
    no_reset_because_ = reset_rss_peak();
    // Between its two loads wrk leaves the target at rest.
    before_ = spec_.driver == "wrk" ? usage_->read() : usage_->read_quickly(processes_);
    threads_peak_ = before_.threads;
  }

  void judge(const LoadQuality& quality) {
    Circumstances circumstances;
    const double* const utilization = result_.server.cpu_utilization.value();
    circumstances.server_utilization = utilization != nullptr ? *utilization : 1.0;
    circumstances.shared_core = result_.cpus.shared;
    circumstances.error_share_limit = spec_.limits.error_share;
    circumstances.shut_down = spec_.scenario.shutdown_after.has_value();
    for (Reason& reason : doubts(quality, circumstances)) {
      result_.mark(Status::invalid, std::move(reason));
    }
  }

  // Returns why it could not be done, or nothing.
  std::string reset_rss_peak() {
    try {
      usage_->reset_rss_peak(processes_);
      return {};
    } catch (const std::system_error& error) {
      return error.what();
    }
  }

  void fill_server(const DriverRun& run) {
    ServerResult& server = result_.server;
    server.threads_peak = std::max(threads_peak_, after_.threads);
    if (no_reset_because_.empty()) {
      server.rss_peak_bytes = after_.rss_peak_bytes;
    } else {
      server.rss_peak_bytes = Unmeasured{no_reset_because_};
    }
    if (spec_.scenario.shutdown_after) {
      fill_missing("the target was shut down within the window");
      return;
    }
    cost::UsageDelta delta;
    try {
      delta = cost::usage_between(before_, after_);
    } catch (const cost::ProcessGone&) {
      throw;
    } catch (const std::runtime_error& error) {
      fill_missing(error.what());
      return;
    }
    const auto requests = static_cast<double>(run.requests);
    server.cpu_us_per_request = seconds(delta.cpu) * 1e6 / requests;
    server.cpu_user_us_per_request = seconds(delta.user) * 1e6 / requests;
    server.cpu_system_us_per_request = seconds(delta.system) * 1e6 / requests;
    server.cpu_utilization =
        seconds(delta.cpu) / run.window_s / static_cast<double>(result_.cpus.server.size());
    server.page_faults_per_request =
        static_cast<double>(delta.minor_faults + delta.major_faults) / requests;
    if (delta.context_switches) {
      server.context_switches_per_request = static_cast<double>(*delta.context_switches) / requests;
    } else {
      server.context_switches_per_request = Unmeasured{delta.context_switches_unmeasured};
    }
  }

  // What the usage of the window would tell.
  void fill_missing(const std::string& reason) {
    const Unmeasured missing{reason};
    ServerResult& server = result_.server;
    server.cpu_us_per_request = missing;
    server.cpu_user_us_per_request = missing;
    server.cpu_system_us_per_request = missing;
    server.cpu_utilization = missing;
    server.context_switches_per_request = missing;
    server.page_faults_per_request = missing;
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
  std::vector<pid_t> processes_;        // of the target, just before the window
  cost::UsageSnapshot before_, after_;  // the window
  std::uint64_t threads_peak_ = 0;      // within it
  std::string no_reset_because_;        // why rss_peak_bytes is not the window's
  Target target_;
};

}  // namespace

TrialResult run_trial(const TrialSpec& spec, const Cpus& cpus, const Programs& programs,
                      Waiter& waiter, Guard& guard) {
  return Trial(spec, cpus, programs, waiter, guard).run();
}

}  // namespace spawnpool::trial
