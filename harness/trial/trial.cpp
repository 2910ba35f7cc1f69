#include "harness/trial/trial.hpp"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <iomanip>
#include <optional>
#include <sstream>

#include "harness/cost/process_usage.hpp"
#include "harness/trial/accounting.hpp"
#include "harness/trial/builtin_driver.hpp"
#include "harness/trial/failure.hpp"
#include "harness/trial/instructions.hpp"
#include "harness/trial/perf_pass.hpp"
#include "harness/trial/syscalls.hpp"
#include "harness/trial/target.hpp"
#include "harness/trial/validity.hpp"
#include "harness/trial/window_cost.hpp"
#include "harness/trial/wrk_driver.hpp"

namespace spawnpool::trial {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

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
    cost_.emplace(target_, result_.cpus);
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
      result_.machine = {};
      result_.window_s = {};
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
  DriverRun drive(Target& target, const DriverHooks& hooks) {
    const DriverContext context{waiter_,
                                guard_,
                                target,
                                spec_,
                                result_.cpus.generator,
                                result_.cpus.shared,
                                programs_.generator,
                                hooks};
    DriverRun run = spec_.driver == "wrk" ? drive_with_wrk(context) : drive_with_builtin(context);
    if (run.requests == 0) {
      throw TrialFailure("error-share", "not one request was answered in the window");
    }
    return run;
  }

  void load() {
    DriverHooks hooks;
    hooks.prepare = [this] { cost_->prepare(); };
    // Between its two loads wrk leaves the target at rest.
    hooks.window_begin = [this] { cost_->begin(spec_.driver == "wrk"); };
    hooks.sample = [this] { cost_->sample(); };
    hooks.window_end = [this] { cost_->end(); };
    hooks.sample_period = sample_period;
    DriverRun run = drive(target_, hooks);
    result_.warmup_s = run.warmup_s;
    result_.window_s = run.window_s;
    result_.load = std::move(run.load);
    if (run.shutdown) {
      result_.shutdown = *run.shutdown;
    }
    cost_->fill(result_, run, spec_.scenario.shutdown_after.has_value());
    judge(run.quality);
  }

  void judge(const LoadQuality& quality) {
    Circumstances circumstances;
    const double* const idle = result_.machine.server_idle_share.value();
    circumstances.server_idle = idle != nullptr ? *idle : 0.0;
    circumstances.shared_core = result_.cpus.shared;
    circumstances.error_share_limit = spec_.limits.error_share;
    circumstances.shut_down = spec_.scenario.shutdown_after.has_value();
    for (Reason& reason : doubts(quality, circumstances)) {
      result_.mark(Status::invalid, std::move(reason));
    }
    for (Reason& reason : disturbances(result_.machine, spec_.limits)) {
      result_.mark(Status::invalid, std::move(reason));
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
    ServerResult& server = result_.server;
    const PassContext context{waiter_, guard_, spec_, result_.cpus.server, programs_.server};
    account(server.allocations,
            [&] { return count_allocations(context, programs_.counter_library); });
    account(server.syscalls, [&] { return count_syscalls(context, programs_.syscall_tracer); });
    account(server.instructions, [&] { return count_instructions(context); });
    account(server.perf, [&] {
      return count_perf(context, [this](Target& target, const DriverHooks& hooks) {
        return drive(target, hooks);
      });
    });
  }

  // Each pass for itself: what one cannot count says nothing of the others.
  template <class Counts, class Count>
  void account(Counts& counts, const Count& count) {
    try {
      counts = count();
    } catch (const TrialFailure& failure) {
      result_.mark(Status::invalid, failure.reason());
      counts = Counts::missing(failure.what());
    }
  }

  const TrialSpec& spec_;
  const Programs& programs_;
  Waiter& waiter_;
  Guard& guard_;
  TrialResult result_;
  Target target_;
  std::optional<WindowCost> cost_;
};

}  // namespace

TrialResult run_trial(const TrialSpec& spec, const Cpus& cpus, const Programs& programs,
                      Waiter& waiter, Guard& guard) {
  return Trial(spec, cpus, programs, waiter, guard).run();
}

}  // namespace spawnpool::trial
