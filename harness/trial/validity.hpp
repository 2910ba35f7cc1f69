// Whether what was measured says something about the target.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/trial/result.hpp"
#include "harness/trial/spec.hpp"

namespace spawnpool::trial {

// How well a generator kept to an offered rate.
struct RateQuality {
  // p99; of requests that waited for no connection, so not the target's doing
  double send_lag_us = 0;
  std::uint64_t intended = 0, sent = 0;
};

// What a driver tells of its load.
struct LoadQuality {
  double error_share = 0;              // errors per attempted request, 0 to 1
  std::uint64_t lost_connections = 0;  // by a driver that never tries again
  double generator_busy = 0;           // share of its time, not asleep nor polling idly, 0 to 1
  std::optional<RateQuality> rate;     // open loop only
  std::string background_missed;       // why the background was not whole; empty when it was
};

// What the load is judged by besides.
struct Circumstances {
  // Share of the time of its cores, 0 to 1. Not what its CPU time leaves: a core that the
  // hypervisor took, or on which the kernel ends the target's threads, waits for no request.
  double server_idle = 0;
  bool shared_core = false;  // then neither side tells who was the limit
  double error_share_limit = 0;
  bool shut_down = false;  // in the middle: what was refused and lost is the outcome
};

// The reasons, if any, for which a load says less than it seems: error-share, background-missed,
// generator-bound, rate-missed.
std::vector<Reason> doubts(const LoadQuality& quality, const Circumstances& circumstances);

// The reasons, if any, for which others had too much of the trial's cores: foreign-cpu, steal. A
// share that could not be measured is above no limit.
std::vector<Reason> disturbances(const MachineResult& machine, const LimitsSpec& limits);

}  // namespace spawnpool::trial
