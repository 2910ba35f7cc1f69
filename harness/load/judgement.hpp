// Whether a load measured what it was asked to.
#pragma once

#include <string>
#include <vector>

#include "harness/load/run.hpp"

namespace spawnpool::load {

struct Doubt {
  std::string code;     // no-answer, background-missed, generator-bound, rate-missed, interrupted
  std::string message;  // one line
};

// What makes the measurement invalid; empty when it is valid. In closed loop a generator that
// was always busy is none: it depends on the server whether that was the limit.
std::vector<Doubt> judge(const LoadSpec& spec, const LoadOutcome& outcome, bool interrupted);

// The share of the window in which the threads had something to do, 0 to 1: of their time when they
// poll, of their CPU time when they sleep.
double busy_share(const LoadSpec& spec, const LoadOutcome& outcome);

// CPU time per time and thread, 0 to 1.
double cpu_utilization(const LoadOutcome& outcome);

}  // namespace spawnpool::load
