#include "harness/trial/accounting.hpp"

#include <algorithm>
#include <fstream>
#include <memory>
#include <stdexcept>

#include "harness/cost/allocation_counter.hpp"
#include "harness/cost/allocation_page.hpp"
#include "harness/cost/process_usage.hpp"
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

AllocationsResult solve(const cost::AllocationCounts& start, const cost::AllocationCounts& middle,
                        const cost::AllocationCounts& end, const AccountingSpec& size) {
  const auto cost_of = [&size](std::uint64_t a, std::uint64_t b, std::uint64_t c) {
    return solve(static_cast<double>(b - a), static_cast<double>(c - b), size);
  };
  const Cost count = cost_of(start.allocations, middle.allocations, end.allocations);
  const Cost bytes = cost_of(start.bytes, middle.bytes, end.bytes);
  return {count.per_request, count.per_connection, bytes.per_request, bytes.per_connection};
}

AllocationsResult count(const PassContext& context, Target& target,
                        const cost::AllocationCounter& counter) {
  const AccountingSpec& size = *context.spec.accounting;
  FixedLoad load(context, target);
  if (!load.serve(warmup_connections, size.requests_per_connection)) {
    return AllocationsResult::missing(closes_connections);
  }
  load.serve(warmup_connections, 1);
  const auto start = counter.read();
  load.serve(size.connections, 1);
  const auto middle = counter.read();
  if (!load.serve(size.connections, size.requests_per_connection)) {
    throw HttpError("a connection was closed before its " +
                    std::to_string(size.requests_per_connection) + " requests were answered");
  }
  return solve(start, middle, counter.read(), size);
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
    result = counts_all(target.process().pid())
                 ? count(context, target, *counter)
                 : AllocationsResult::missing(
                       "the target does not load the counter: it is statically linked or "
                       "brings its own allocator");
  });
  return result;
}

}  // namespace spawnpool::trial
