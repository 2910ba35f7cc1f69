#include "harness/trial/perf_pass.hpp"

#include <algorithm>
#include <optional>
#include <string>

#include "harness/cost/perf_counters.hpp"
#include "harness/trial/failure.hpp"
#include "harness/trial/window_cost.hpp"

namespace spawnpool::trial {
namespace {

PerfResult per_request(const cost::PerfCounters& counters, std::uint64_t requests) {
  PerfResult result;
  result.scope = std::string(counters.counts_kernel() ? "user and kernel" : "user");
  result.requests = requests;
  const cost::PerfCounts counts = counters.read();
  std::optional<double> running_share;
  for (std::size_t event = 0; event < counts.size(); ++event) {
    const cost::PerfCount& count = counts.at(event);
    if (count.value) {
      result.per_request.at(event) = *count.value / static_cast<double>(requests);
      running_share = std::min(running_share.value_or(1), count.running_share);
    } else {
      result.per_request.at(event) = Unmeasured{count.unmeasured};
    }
  }
  if (running_share) {
    result.running_share = *running_share;
  } else {
    const Unmeasured nothing{counts.front().unmeasured};
    result.running_share = nothing;
    result.scope = nothing;
  }
  return result;
}

}  // namespace

PerfResult count_perf(const PassContext& context, const Drive& drive) {
  if (!context.spec.accounting || !context.spec.accounting->perf) {
    return PerfResult::missing("not asked for in this trial");
  }
  if (context.spec.scenario.shutdown_after) {
    return PerfResult::missing("the target is shut down within the window");
  }
  std::optional<cost::PerfCounters> counters;
  TargetLaunch launch{context.cpus};
  launch.before_exec = [&counters](pid_t pid) { counters.emplace(pid); };
  PerfResult result;
  run_pass(context, launch, [&](Target& target) {
    DriverHooks hooks;
    hooks.prepare = [] {};
    hooks.window_begin = [&counters] { counters->begin(); };
    hooks.sample = [] {};
    hooks.window_end = [&counters] { counters->end(); };
    hooks.sample_period = sample_period;
    const DriverRun run = drive(target, hooks);
    if (run.quality.error_share > context.spec.limits.error_share) {
      throw TrialFailure("error-share", "too many requests failed while perf events were counted");
    }
    result = per_request(*counters, run.requests);
  });
  return result;
}

}  // namespace spawnpool::trial
