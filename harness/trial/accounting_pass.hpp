// What every accounting pass has in common: a target of its own, started anew and never timed, and
// a fixed number of requests over a fixed number of connections, one after the other.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "harness/trial/guard.hpp"
#include "harness/trial/spec.hpp"
#include "harness/trial/target.hpp"
#include "harness/trial/waiter.hpp"

namespace spawnpool::trial {

// All of it must outlive the pass.
struct PassContext {
  Waiter& waiter;
  Guard& guard;
  const TrialSpec& spec;
  const std::vector<int>& cpus;  // of the target
  const std::string& server_program;
};

// Starts the target, runs `body` when it is ready, stops it, and runs `ended`. Throws TrialFailure
// accounting-failed for what the target does wrong meanwhile.
void run_pass(
    const PassContext& context, const TargetLaunch& launch,
    const std::function<void(Target&)>& body,
    const std::function<void(Target&)>& ended = [](Target&) {});

// The load of a pass. Requests go over kept connections, whatever the scenario's
// requests_per_connection. Between connections it waits until the target rests, so that a thread
// that ends has ended before the next one starts: the same input gives the same counts.
class FixedLoad {
 public:
  enum class Rest {
    between_connections,
    between_requests,  // as well: each request finds its thread asleep
  };
  FixedLoad(const PassContext& context, Target& target, Rest rest = Rest::between_connections);

  // Returns false when the target closes a connection before its last request. Throws HttpError.
  bool serve(unsigned connections, unsigned requests);

 private:
  Waiter& waiter_;
  Target& target_;
  const ExpectSpec& expect_;
  std::string request_;
  std::chrono::nanoseconds timeout_;
  Rest rest_;
};

// Waits until the threads of the target and its descendants sleep and none is about to end, but not
// for ever: a target with background work never rests.
void wait_rest(Waiter& waiter, const std::vector<pid_t>& pids);

// A cost as the slope and the intercept of two sizes of load.
struct Cost {
  double per_request = 0, per_connection = 0;
};

// C connections with 1 request each took `short_load`, the same with K requests each `long_load`:
// (long - short) / (C (K - 1)) is the cost of a request, the rest of short / C that of a
// connection. What the target does at its start is in neither.
Cost solve(double short_load, double long_load, const AccountingSpec& size);

// Why costs cannot be told apart when serve() returned false.
extern const char* const closes_connections;

}  // namespace spawnpool::trial
