#include "harness/trial/accounting_pass.hpp"

#include <algorithm>
#include <chrono>

#include "harness/cost/process_usage.hpp"
#include "harness/trial/failure.hpp"
#include "harness/trial/http_client.hpp"
#include "harness/trial/processes.hpp"

namespace spawnpool::trial {
namespace {

using namespace std::chrono_literals;

constexpr auto rest_limit = 100ms;  // a target with background work never rests: go on then
constexpr auto rest_poll = 200us;

}  // namespace

const char* const closes_connections =
    "the target closes its connections after each answer: what a request costs cannot be told from "
    "what a connection costs";

void run_pass(const PassContext& context, const TargetLaunch& launch,
              const std::function<void(Target&)>& body, const std::function<void(Target&)>& ended) {
  Target target(context.waiter, context.spec.target, context.spec.limits, context.server_program);
  try {
    target.start(context.guard, launch);
    target.wait_ready();
    body(target);
    target.require_running("in the accounting pass");
  } catch (const TrialFailure& failure) {
    throw TrialFailure("accounting-failed", failure.reason().code + ": " + failure.what());
  } catch (const cost::ProcessGone&) {
    throw TrialFailure("accounting-failed", "the target died in the accounting pass");
  } catch (const HttpError& error) {
    context.waiter.wait(target.process().pidfd(), POLLIN, Clock::now() + 100ms);
    const bool running = target.process().running();
    throw TrialFailure("accounting-failed",
                       running ? error.what() : "the target died in the accounting pass");
  }
  if (const auto reason = target.stop()) {
    throw TrialFailure("accounting-failed", reason->message);
  }
  ended(target);
}

FixedLoad::FixedLoad(const PassContext& context, Target& target, Rest rest)
    : waiter_(context.waiter),
      target_(target),
      expect_(context.spec.scenario.expect),
      request_(request_bytes(context.spec.scenario.request, target.endpoint(), false)),
      timeout_(std::max<std::chrono::nanoseconds>(context.spec.timeout, 1s)),
      rest_(rest) {}

bool FixedLoad::serve(unsigned connections, unsigned requests) {
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
      if (rest_ == Rest::between_requests) {
        wait_rest(waiter_, pids);
      }
    }
    connection.finish(Clock::now() + timeout_);
    wait_rest(waiter_, pids);
  }
  return true;
}

void wait_rest(Waiter& waiter, const std::vector<pid_t>& pids) {
  const auto deadline = Clock::now() + rest_limit;
  std::vector<pid_t> before;
  std::vector<pid_t> now;
  bool rested = false;
  while (Clock::now() < deadline) {
    now.clear();
    const bool rests = std::all_of(pids.begin(), pids.end(),
                                   [&](pid_t pid) { return all_threads_sleep(pid, now); });
    // The same threads twice in a row: one that was about to end has not.
    if (rests && rested && now == before) {
      return;
    }
    rested = rests;
    before.swap(now);
    waiter.sleep_until(Clock::now() + rest_poll);
  }
}

Cost solve(double short_load, double long_load, const AccountingSpec& size) {
  const double connections = size.connections;
  const double further_requests = connections * (size.requests_per_connection - 1.0);
  const double per_request = (long_load - short_load) / further_requests;
  return {per_request, short_load / connections - per_request};
}

}  // namespace spawnpool::trial
