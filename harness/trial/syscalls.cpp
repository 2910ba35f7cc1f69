#include "harness/trial/syscalls.hpp"

#include <array>
#include <chrono>
#include <set>
#include <string_view>

#include "harness/cost/syscall_log.hpp"
#include "harness/trial/http_client.hpp"

namespace spawnpool::trial {
namespace {

using namespace std::chrono_literals;
using cost::SyscallCounts;
using cost::SyscallKey;
using cost::SyscallLog;
using cost::SyscallRecord;
using cost::SyscallTally;

constexpr unsigned syscalls_warmup = 3;
// Longer than the periods of the timers that a server may have; our own ticks every 250 ms.
constexpr auto idle_watch = 600ms;

std::vector<std::string> tracing(const std::string& tracer, const SyscallLog& log) {
  return {tracer, "--log", std::to_string(log.fd()), "--"};
}

// Why nothing can be traced here; empty when it can.
std::string no_tracing_because(const PassContext& context, const std::string& tracer) {
  const SyscallLog log;
  ChildOptions options;
  options.argv = tracing(tracer, log);
  options.argv.insert(options.argv.end(), {tracer, "--version"});  // as good as any
  options.inherit = {log.fd()};
  ChildProcess probe(context.waiter, context.guard, options);
  const auto status = probe.wait_exit(Clock::now() + 5s);
  if (status && status->ok()) {
    return {};
  }
  const auto words = probe.err().last_lines(1);
  return words.empty() ? tracer + " cannot trace a process here" : words.front();
}

// Calls that wait for somebody else: input, a connection, another thread.
bool waits(const std::string& call) {
  static const std::set<std::string_view> waiting = {
      "accept",   "accept4",      "epoll_pwait",    "epoll_pwait2",    "epoll_wait",
      "futex",    "io_getevents", "io_uring_enter", "pause",           "poll",
      "ppoll",    "pselect6",     "read",           "readv",           "recvfrom",
      "recvmmsg", "recvmsg",      "rt_sigsuspend",  "rt_sigtimedwait", "select",
      "wait4",    "waitid"};
  return waiting.contains(call);
}

std::uint64_t calls_of(const SyscallCounts& counts) {
  std::uint64_t calls = 0;
  for (const auto& [key, tally] : counts) {
    calls += tally.calls;
  }
  return calls;
}

using Threads = std::map<pid_t, SyscallCounts>;

// The threads that made calls between two readings.
std::set<pid_t> callers(const Threads& before, const Threads& after) {
  std::set<pid_t> found;
  for (const auto& [thread, counts] : after) {
    const auto earlier = before.find(thread);
    if (earlier == before.end() || calls_of(earlier->second) != calls_of(counts)) {
      found.insert(thread);
    }
  }
  return found;
}

SyscallCounts sum(const Threads& threads, const std::set<pid_t>& without) {
  SyscallCounts total;
  for (const auto& [thread, counts] : threads) {
    if (!without.contains(thread)) {
      for (const auto& [key, tally] : counts) {
        total[key].calls += tally.calls;
        total[key].ns += tally.ns;
      }
    }
  }
  return total;
}

// What was counted before the pass's load, between its two sizes, and after it.
struct SyscallReadings {
  SyscallCounts start, middle, end;
};

SyscallTally at(const SyscallCounts& counts, const SyscallKey& key) {
  const auto found = counts.find(key);
  return found == counts.end() ? SyscallTally{} : found->second;
}

// Two loads' worth of what adds up before it is solved, so that parts and totals agree.
struct Loads {
  double short_load = 0, long_load = 0;

  Loads& operator+=(const Loads& more) {
    short_load += more.short_load;
    long_load += more.long_load;
    return *this;
  }
};

struct PhaseLoads {
  Loads calls, us, wait_us;
};

// Why the phases are not known; empty when they are.
std::string no_phases_because(const SyscallCounts& end) {
  bool marked = false;
  for (const auto& [key, tally] : end) {
    if (key.phase == SyscallRecord::unreadable) {
      return "the target keeps its memory from being read";
    }
    marked = marked || key.phase != SyscallRecord::unmarked;
  }
  return marked ? "" : "the target marks no phases";
}

Measured<std::vector<PhaseSyscalls>> solve_syscall_phases(
    const std::array<PhaseLoads, cost::phase_count>& loads, const AccountingSpec& size,
    const std::string& missing) {
  if (!missing.empty()) {
    return Unmeasured{missing};
  }
  std::vector<PhaseSyscalls> phases;
  for (std::size_t i = 0; i < loads.size(); ++i) {
    const auto cost = [&size](const Loads& of) { return solve(of.short_load, of.long_load, size); };
    const Cost calls = cost(loads.at(i).calls);
    const Cost us = cost(loads.at(i).us);
    const Cost wait_us = cost(loads.at(i).wait_us);
    phases.push_back({cost::phase_names.at(i), calls.per_request, calls.per_connection,
                      us.per_request, us.per_connection, wait_us.per_request,
                      wait_us.per_connection});
  }
  return phases;
}

SyscallsResult solve_all(const SyscallReadings& readings, const AccountingSpec& size) {
  Loads total;
  std::map<std::string, Loads> by_name;
  std::array<PhaseLoads, cost::phase_count> by_phase;
  for (const auto& [key, end] : readings.end) {
    const SyscallTally start = at(readings.start, key);
    const SyscallTally middle = at(readings.middle, key);
    const Loads calls = {static_cast<double>(middle.calls - start.calls),
                         static_cast<double>(end.calls - middle.calls)};
    const Loads us = {static_cast<double>(middle.ns - start.ns) / 1e3,
                      static_cast<double>(end.ns - middle.ns) / 1e3};
    const std::string name = cost::syscall_name(key.number);
    PhaseLoads& phase = by_phase.at(key.phase < cost::phase_count ? key.phase : 0);
    phase.calls += calls;
    phase.us += us;
    if (waits(name)) {
      phase.wait_us += us;
    }
    total += calls;
    by_name[name] += calls;
  }
  std::map<std::string, SyscallCost> costs;
  for (const auto& [name, loads] : by_name) {
    if (loads.short_load != 0 || loads.long_load != 0) {
      const Cost cost = solve(loads.short_load, loads.long_load, size);
      costs[name] = {cost.per_request, cost.per_connection};
    }
  }
  const Cost cost = solve(total.short_load, total.long_load, size);
  return {cost.per_request, cost.per_connection, costs,
          solve_syscall_phases(by_phase, size, no_phases_because(readings.end))};
}

SyscallsResult count(const PassContext& context, Target& target, SyscallLog& log) {
  const AccountingSpec& size = *context.spec.accounting;
  FixedLoad load(context, target, FixedLoad::Rest::between_requests);
  if (!load.serve(syscalls_warmup, size.requests_per_connection)) {
    return SyscallsResult::missing(closes_connections);
  }
  load.serve(syscalls_warmup, 1);
  const Threads idle_begin = log.read();
  context.waiter.sleep_until(Clock::now() + idle_watch);
  const std::set<pid_t> background = callers(idle_begin, log.read());

  log.count_time();
  SyscallReadings readings{.start = sum(log.read(), background), .middle = {}, .end = {}};
  load.serve(size.connections, 1);
  readings.middle = sum(log.read(), background);
  if (!load.serve(size.connections, size.requests_per_connection)) {
    throw HttpError("a connection was closed before its " +
                    std::to_string(size.requests_per_connection) + " requests were answered");
  }
  readings.end = sum(log.read(), background);
  return solve_all(readings, size);
}

}  // namespace

SyscallsResult count_syscalls(const PassContext& context, const std::string& tracer) {
  if (!context.spec.accounting || !context.spec.accounting->syscalls) {
    return SyscallsResult::missing("not asked for in this trial");
  }
  if (!find_program(tracer)) {
    return SyscallsResult::missing(
        tracer +
        " is missing; build it: cmake --build --preset release --target spawnpool-syscalls");
  }
  if (const std::string reason = no_tracing_because(context, tracer); !reason.empty()) {
    return SyscallsResult::missing(reason);
  }
  SyscallLog log;
  TargetLaunch launch{context.cpus, {}, {log.fd()}};
  launch.wrapper = tracing(tracer, log);
  SyscallsResult result;
  run_pass(context, launch, [&](Target& target) { result = count(context, target, log); });
  return result;
}

}  // namespace spawnpool::trial
