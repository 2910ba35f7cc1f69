#include "harness/trial/accounting.hpp"

#include <algorithm>
#include <fstream>
#include <memory>
#include <stdexcept>

#include "harness/cost/allocation_counter.hpp"
#include "harness/cost/allocation_page.hpp"
#include "harness/cost/process_usage.hpp"
#include "harness/trial/failure.hpp"
#include "harness/trial/processes.hpp"
#include "harness/trial/target.hpp"

namespace spawnpool::trial {
namespace {

using namespace std::chrono_literals;

constexpr unsigned warmup_connections = 5;
constexpr auto rest_limit = 100ms;  // a target with background work never rests: go on then
constexpr auto rest_poll = 200us;

AllocationsResult uncounted(const std::string& reason) {
  const Unmeasured missing{reason};
  return {missing, missing, missing, missing};
}

// Waits until the threads of these processes sleep and none is about to end: the same threads twice
// in a row.
void wait_rest(Waiter& waiter, const std::vector<pid_t>& pids) {
  const auto deadline = Clock::now() + rest_limit;
  std::vector<pid_t> before;
  std::vector<pid_t> now;
  bool rested = false;
  while (Clock::now() < deadline) {
    now.clear();
    const bool rests = std::all_of(pids.begin(), pids.end(),
                                   [&](pid_t pid) { return all_threads_sleep(pid, now); });
    if (rests && rested && now == before) {
      return;
    }
    rested = rests;
    before.swap(now);
    waiter.sleep_until(Clock::now() + rest_poll);
  }
}

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

// What serves the connections of the pass; throws TrialFailure and HttpError.
class Client {
 public:
  Client(Waiter& waiter, Target& target, const TrialSpec& spec)
      : waiter_(waiter),
        target_(target),
        expect_(spec.scenario.expect),
        request_(request_bytes(spec.scenario.request, target.endpoint(), false)),
        timeout_(std::max<std::chrono::nanoseconds>(spec.timeout, 1s)) {}

  // Returns false when the target closes a connection before its last request.
  bool serve(unsigned connections, unsigned requests) {
    // Once a pass, since it is a walk through /proc: who serves is there from the start.
    const auto pids = cost::ProcessUsage(target_.process().pid()).processes();
    for (unsigned c = 0; c < connections; ++c) {
      HttpConnection connection(waiter_, target_.endpoint(), Clock::now() + timeout_);
      for (unsigned r = 1; r <= requests; ++r) {
        const HttpAnswer answer = connection.exchange(request_, Clock::now() + timeout_);
        if (answer.status != expect_.status || !expect_.takes(answer.body)) {
          throw HttpError("wrong answer with status " + std::to_string(answer.status));
        }
        if (!answer.keep_alive && r < requests) {
          return false;
        }
      }
      connection.finish(Clock::now() + timeout_);
      wait_rest(waiter_, pids);
    }
    return true;
  }

 private:
  Waiter& waiter_;
  Target& target_;
  const ExpectSpec& expect_;
  std::string request_;
  std::chrono::nanoseconds timeout_;
};

AllocationsResult solve(const cost::AllocationCounts& start, const cost::AllocationCounts& middle,
                        const cost::AllocationCounts& end, const AccountingSpec& size) {
  const double connections = size.connections;
  const double further_requests = connections * (size.requests_per_connection - 1.0);
  const auto per_request = [&](std::uint64_t a, std::uint64_t b, std::uint64_t c) {
    return (static_cast<double>(c - b) - static_cast<double>(b - a)) / further_requests;
  };
  const auto per_connection = [&](std::uint64_t a, std::uint64_t b, std::uint64_t c) {
    return static_cast<double>(b - a) / connections - per_request(a, b, c);
  };
  return {per_request(start.allocations, middle.allocations, end.allocations),
          per_connection(start.allocations, middle.allocations, end.allocations),
          per_request(start.bytes, middle.bytes, end.bytes),
          per_connection(start.bytes, middle.bytes, end.bytes)};
}

AllocationsResult count(Waiter& waiter, Target& target, const TrialSpec& spec,
                        const cost::AllocationCounter& counter) {
  const AccountingSpec& size = *spec.accounting;
  Client client(waiter, target, spec);
  if (!client.serve(warmup_connections, size.requests_per_connection)) {
    return uncounted(
        "the target closes its connections after each answer: what a request costs cannot be told "
        "from what a connection costs");
  }
  client.serve(warmup_connections, 1);
  const auto start = counter.read();
  client.serve(size.connections, 1);
  const auto middle = counter.read();
  if (!client.serve(size.connections, size.requests_per_connection)) {
    throw HttpError("a connection was closed before its " +
                    std::to_string(size.requests_per_connection) + " requests were answered");
  }
  return solve(start, middle, counter.read(), size);
}

}  // namespace

AllocationsResult count_allocations(Waiter& waiter, Guard& guard, const TrialSpec& spec,
                                    const std::vector<int>& cpus, const std::string& server_program,
                                    const std::string& counter_library) {
  if (!spec.accounting) {
    return uncounted("the trial was asked for without an accounting pass");
  }
  std::unique_ptr<cost::AllocationCounter> counter;
  try {
    counter = std::make_unique<cost::AllocationCounter>(counter_library);
  } catch (const std::invalid_argument& error) {
    return uncounted(error.what());
  }
  Target target(waiter, spec.target, spec.limits, server_program);
  AllocationsResult result;
  try {
    target.start(guard, {cpus, counter->environment(), {counter->fd()}});
    target.wait_ready();
    result = counts_all(target.process().pid())
                 ? count(waiter, target, spec, *counter)
                 : uncounted(
                       "the target does not load the counter: it is statically linked or "
                       "brings its own allocator");
    target.require_running("in the accounting pass");
  } catch (const TrialFailure& failure) {
    throw TrialFailure("accounting-failed", failure.reason().code + ": " + failure.what());
  } catch (const cost::ProcessGone&) {
    throw TrialFailure("accounting-failed", "the target died in the accounting pass");
  } catch (const HttpError& error) {
    waiter.wait(target.process().pidfd(), POLLIN, Clock::now() + 100ms);
    const bool running = target.process().running();
    throw TrialFailure("accounting-failed",
                       running ? error.what() : "the target died in the accounting pass");
  }
  if (const auto reason = target.stop()) {
    throw TrialFailure("accounting-failed", reason->message);
  }
  return result;
}

}  // namespace spawnpool::trial
