#include "harness/trial/accounting.hpp"

#include <algorithm>
#include <fstream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include "harness/cost/allocation_counter.hpp"
#include "harness/cost/allocation_page.hpp"
#include "harness/cost/process_usage.hpp"
#include "harness/trial/go_memory.hpp"
#include "harness/trial/http_client.hpp"
#include "harness/trial/target.hpp"

namespace spawnpool::trial {
namespace {

constexpr unsigned warmup_connections = 5;

// Whether the allocations of the process with its descendants are being counted. That they once
// were says nothing: a dynamically linked env or shell may have become a server that is not.
bool counts_all(pid_t root) {
  const std::vector<pid_t> pids = cost::ProcessUsage(root).processes();
  return std::all_of(pids.begin(), pids.end(), [](pid_t pid) {
    std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
    for (std::string line; std::getline(maps, line);) {
      if (line.find(cost::allocation_page_name) != std::string::npos) {
        return true;
      }
    }
    return false;
  });
}

// What was counted before the pass's load, between its two sizes, and after it.
struct Readings {
  cost::AllocationCounts start, middle, end;
};

// What a request and a connection cost of one of the counts, which `of` picks.
template <class Of>
Cost solve(const Readings& readings, const AccountingSpec& size, Of of) {
  return solve(static_cast<double>(of(readings.middle) - of(readings.start)),
               static_cast<double>(of(readings.end) - of(readings.middle)), size);
}

std::vector<PhaseAllocations> solve_phases(const Readings& readings, const AccountingSpec& size) {
  std::vector<PhaseAllocations> result;
  for (std::size_t phase = 0; phase < cost::phase_count; ++phase) {
    const Cost count = solve(
        readings, size, [=](const auto& counts) { return counts.by_phase.at(phase).allocations; });
    const Cost bytes =
        solve(readings, size, [=](const auto& counts) { return counts.by_phase.at(phase).bytes; });
    result.push_back({cost::phase_names.at(phase), count.per_request, count.per_connection,
                      bytes.per_request, bytes.per_connection});
  }
  return result;
}

// A cost, or why there is none: it comes out below 0 when the target also allocates of itself, at
// times of its own.
Measured<double> amount(double cost) {
  constexpr double rounding = 1e-6;
  if (cost < -rounding) {
    return Unmeasured{"the target allocates of itself meanwhile, which hides it"};
  }
  return std::max(cost, 0.0);
}

AllocationsResult solve(const Readings& readings, const AccountingSpec& size) {
  const Cost count = solve(readings, size, [](const auto& counts) { return counts.allocations; });
  const Cost bytes = solve(readings, size, [](const auto& counts) { return counts.bytes; });
  AllocationsResult result;
  result.per_request = amount(count.per_request);
  result.per_connection = amount(count.per_connection);
  result.bytes_per_request = amount(bytes.per_request);
  result.bytes_per_connection = amount(bytes.per_connection);
  return result;
}

// Serves the pass's load and calls `read` before, between and after its sizes. Nothing when the
// target closes its connections after each answer.
template <class Read>
std::optional<Readings> take_readings(const PassContext& context, Target& target,
                                      const Read& read) {
  const AccountingSpec& size = *context.spec.accounting;
  FixedLoad load(context, target);
  if (!load.serve(warmup_connections, size.requests_per_connection)) {
    return std::nullopt;
  }
  load.serve(warmup_connections, 1);
  Readings readings{.start = read(), .middle = {}, .end = {}};
  load.serve(size.connections, 1);
  readings.middle = read();
  if (!load.serve(size.connections, size.requests_per_connection)) {
    throw HttpError("a connection was closed before its " +
                    std::to_string(size.requests_per_connection) + " requests were answered");
  }
  readings.end = read();
  return readings;
}

AllocationsResult count(const PassContext& context, Target& target,
                        const cost::AllocationCounter& counter) {
  const auto readings = take_readings(context, target, [&] { return counter.read(); });
  if (!readings) {
    return AllocationsResult::missing(closes_connections);
  }
  const AccountingSpec& size = *context.spec.accounting;
  AllocationsResult result = solve(*readings, size);
  result.source = std::string("interposer");
  result.stack_bytes_started = readings->end.stack_bytes_started;
  if (counter.marks_phases()) {
    result.by_phase = solve_phases(*readings, size);
  } else {
    result.by_phase = Unmeasured{"the target marks no phases"};
  }
  const auto processes = cost::ProcessUsage(target.process().pid()).processes().size();
  if (processes == 1) {
    result.heap_live_bytes = readings->end.heap_live_bytes;
    result.heap_peak_bytes = readings->end.heap_peak_bytes;
  } else {
    const Unmeasured apart{"the target has " + std::to_string(processes) +
                           " processes, each with a heap of its own"};
    result.heap_live_bytes = apart;
    result.heap_peak_bytes = apart;
  }
  return result;
}

AllocationsResult count_by_go(const PassContext& context, Target& target) {
  // What the target allocates to tell its counts is in the next ones. It is taken out again.
  const auto read = [&] { return read_go_memory(context.waiter, target); };
  read();  // the first time costs more
  const cost::AllocationCounts idle = read();
  const cost::AllocationCounts told = read();
  std::uint64_t times = 0;
  const auto readings = take_readings(context, target, [&] {
    cost::AllocationCounts counts = read();
    counts.allocations -= times * (told.allocations - idle.allocations);
    counts.bytes -= times * (told.bytes - idle.bytes);
    ++times;
    return counts;
  });
  if (!readings) {
    return AllocationsResult::missing(closes_connections);
  }
  AllocationsResult result = AllocationsResult::missing("Go's runtime counts, and tells no more");
  AllocationsResult solved = solve(*readings, *context.spec.accounting);
  result.source = std::string("go-runtime");
  result.per_request = std::move(solved.per_request);
  result.per_connection = std::move(solved.per_connection);
  result.bytes_per_request = std::move(solved.bytes_per_request);
  result.bytes_per_connection = std::move(solved.bytes_per_connection);
  return result;
}

}  // namespace

AllocationsResult count_allocations(const PassContext& context,
                                    const std::string& counter_library) {
  if (!context.spec.accounting) {
    return AllocationsResult::missing("the trial was asked for without an accounting pass");
  }
  std::unique_ptr<cost::AllocationCounter> counter;
  try {
    counter = std::make_unique<cost::AllocationCounter>(counter_library);
  } catch (const std::invalid_argument& error) {
    return AllocationsResult::missing(error.what());
  }
  AllocationsResult result;
  run_pass(context, {context.cpus, counter->environment(), {counter->fd()}}, [&](Target& target) {
    if (counts_all(target.process().pid())) {
      result = count(context, target, *counter);
    } else if (tells_go_memory(target)) {
      result = count_by_go(context, target);
    } else {
      result = AllocationsResult::missing(
          "the target does not load the counter: it is statically linked or brings its own "
          "allocator, or the library is damaged (build the target spawnpool_alloc again)");
    }
  });
  return result;
}

}  // namespace spawnpool::trial
