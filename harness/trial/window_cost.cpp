#include "harness/trial/window_cost.hpp"

#include <unistd.h>

#include <algorithm>
#include <set>
#include <stdexcept>
#include <system_error>

#include "harness/trial/cpus.hpp"
#include "harness/trial/processes.hpp"

namespace spawnpool::trial {
namespace {

using std::chrono::nanoseconds;

constexpr auto series_interval = std::chrono::milliseconds(100);

double seconds(nanoseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

std::vector<int> cores_of(const Cpus& cpus) {
  std::set<int> taken(cpus.server.begin(), cpus.server.end());
  taken.insert(cpus.generator.begin(), cpus.generator.end());
  return {taken.begin(), taken.end()};
}

bool runs_beside(const std::vector<int>& taken) {
  const std::vector<int> mine = affinity_mask();
  return std::none_of(mine.begin(), mine.end(), [&taken](int cpu) {
    return std::binary_search(taken.begin(), taken.end(), cpu);
  });
}

void miss_scheduling(ServerResult& server, const Unmeasured& missing) {
  server.context_switches_per_request = missing;
  server.voluntary_switches_per_request = missing;
  server.involuntary_switches_per_request = missing;
  server.run_queue_wait_us_per_request = missing;
}

void miss_usage(ServerResult& server, const Unmeasured& missing) {
  server.cpu_us_per_request = missing;
  server.cpu_user_us_per_request = missing;
  server.cpu_system_us_per_request = missing;
  server.cpu_utilization = missing;
  server.page_faults_per_request = missing;
  miss_scheduling(server, missing);
}

}  // namespace

WindowCost::WindowCost(Target& target, const Cpus& cpus)
    : target_(target),
      usage_(target.process().pid()),
      taken_(cores_of(cpus)),
      server_cores_(cpus.server),
      beside_(runs_beside(taken_)) {}

void WindowCost::prepare() {
  processes_ = usage_.processes();
}

void WindowCost::begin(bool at_rest) {
  try {
    usage_.reset_rss_peak(processes_);
  } catch (const std::system_error& error) {
    no_reset_because_ = error.what();
  }
  machine_before_ = read_machine();
  before_ = at_rest ? usage_.read() : usage_.read_quickly(processes_);
  threads_peak_ = before_.threads;
  samples_.push_back({machine_before_.at, before_.cpu, before_.threads, before_.rss_bytes});
  target_.ask_status();
}

void WindowCost::sample() {
  const Sample now = read_sample();
  threads_peak_ = std::max(threads_peak_, now.threads);
  // Half a sample early rather than a whole one late.
  if (now.at - samples_.back().at >= series_interval - sample_period / 2) {
    samples_.push_back(now);
    target_.ask_status();
  }
}

void WindowCost::end() {
  after_ = usage_.read();
  machine_after_ = read_machine();
}

WindowCost::MachineReading WindowCost::read_machine() const {
  return {Clock::now(), cost::process_cpu_time(getpid()), cost::read_cpu_times(taken_),
          cost::read_cpu_times(server_cores_)};
}

// A process that ended meanwhile is left out; when it was the target, the load tells.
WindowCost::Sample WindowCost::read_sample() const {
  Sample sample{.at = Clock::now()};
  for (const pid_t pid : processes_) {
    try {
      sample.cpu += cost::process_cpu_time(pid);
      const TaskStat stat = read_task_stat(std::to_string(pid)).value_or(TaskStat{});
      sample.threads += stat.threads;
      sample.rss_bytes += stat.rss_bytes;
    } catch (const cost::ProcessGone&) {
      continue;
    }
  }
  return sample;
}

void WindowCost::fill(TrialResult& result, const DriverRun& run, bool shut_down) {
  ServerResult& server = result.server;
  server.threads = after_.threads;
  server.threads_peak = std::max(threads_peak_, after_.threads);
  server.rss_bytes = after_.rss_bytes;
  if (no_reset_because_.empty()) {
    server.rss_peak_bytes = after_.rss_peak_bytes;
  } else {
    server.rss_peak_bytes = Unmeasured{no_reset_because_};
  }
  if (shut_down) {
    miss_usage(server, {"the target was shut down within the window"});
  } else {
    fill_usage(server, run);
  }
  fill_series(server);
  fill_machine(result, run);
}

void WindowCost::fill_usage(ServerResult& server, const DriverRun& run) {
  cost::UsageDelta delta;
  try {
    delta = cost::usage_between(before_, after_);
  } catch (const std::runtime_error& error) {
    miss_usage(server, {error.what()});
    return;
  }
  const auto requests = static_cast<double>(run.requests);
  server.cpu_us_per_request = seconds(delta.cpu) * 1e6 / requests;
  server.cpu_user_us_per_request = seconds(delta.user) * 1e6 / requests;
  server.cpu_system_us_per_request = seconds(delta.system) * 1e6 / requests;
  server.cpu_utilization =
      seconds(delta.cpu) / run.window_s / static_cast<double>(server_cores_.size());
  server.page_faults_per_request =
      static_cast<double>(delta.minor_faults + delta.major_faults) / requests;
  fill_scheduling(server, delta, requests);
  target_cpu_s_ = seconds(delta.cpu);
}

void WindowCost::fill_scheduling(ServerResult& server, const cost::UsageDelta& delta,
                                 double requests) const {
  if (!delta.scheduling) {
    miss_scheduling(server, {delta.scheduling_unmeasured});
    return;
  }
  const cost::Scheduling& scheduling = *delta.scheduling;
  const auto per_request = [requests](std::uint64_t count) {
    return static_cast<double>(count) / requests;
  };
  server.context_switches_per_request = per_request(scheduling.switches());
  server.voluntary_switches_per_request = per_request(scheduling.voluntary_switches);
  server.involuntary_switches_per_request = per_request(scheduling.involuntary_switches);
  server.run_queue_wait_us_per_request = seconds(scheduling.run_queue_wait) * 1e6 / requests;
}

void WindowCost::fill_machine(TrialResult& result, const DriverRun& run) const {
  result.load.generator.cpu_us_per_request =
      run.generator_cpu_s * 1e6 / static_cast<double>(run.requests);
  const nanoseconds measured = std::chrono::duration_cast<nanoseconds>(
      std::chrono::duration<double>(target_cpu_s_.value_or(0) + run.generator_cpu_s));
  const nanoseconds self =
      beside_ ? nanoseconds::zero() : machine_after_.own_cpu - machine_before_.own_cpu;
  const cost::Disturbance disturbance =
      cost::disturbance_between(machine_before_.taken, machine_after_.taken, taken_.size(),
                                machine_after_.at - machine_before_.at, measured + self);
  result.machine.steal_share = disturbance.steal_share;
  result.machine.server_idle_share =
      cost::idle_share_between(machine_before_.server, machine_after_.server, server_cores_.size(),
                               machine_after_.at - machine_before_.at);
  if (target_cpu_s_) {
    result.machine.foreign_cpu_share = disturbance.foreign_share;
  } else {
    result.machine.foreign_cpu_share =
        Unmeasured{"it is not known how much of the cores' time the target used"};
  }
}

void WindowCost::fill_series(ServerResult& server) const {
  SeriesResult series;
  for (std::size_t i = 1; i < samples_.size(); ++i) {
    const Sample& before = samples_[i - 1];
    const Sample& now = samples_[i];
    series.t_s.push_back(seconds(now.at - samples_.front().at));
    series.cpu_utilization.push_back(seconds(now.cpu - before.cpu) / seconds(now.at - before.at) /
                                     static_cast<double>(server_cores_.size()));
    series.threads.push_back(now.threads);
    series.rss_bytes.push_back(now.rss_bytes);
  }
  series.status = target_.status_series(samples_.front().at);
  server.time_series = std::move(series);
}

}  // namespace spawnpool::trial
