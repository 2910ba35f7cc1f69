// One load, from its specification to what was found.
#pragma once

#include <atomic>
#include <functional>
#include <vector>

#include "harness/load/worker.hpp"

namespace spawnpool::load {

// What happens meanwhile, told on the calling thread. Each may be empty.
struct LoadHooks {
  std::function<void()> connected;     // the connections that are kept are open, or have failed
  std::function<void()> window_begin;  // the warm-up is over
  std::function<void()> window_end;    // no more is asked; answers under way are waited for
  // Once a second within the window: how much of it has passed, answers and errors so far.
  std::function<void(nanoseconds passed, std::uint64_t answered, std::uint64_t errors)> live;
};

// What a load found: of each thread, and of all together.
struct LoadOutcome {
  WorkerResult total;
  std::vector<WorkerResult> workers;
  nanoseconds window{};  // shorter than asked for when it was ended early
};

// Runs the load on threads of its own. `stop`, once set (by a signal handler too), ends it early:
// the outcome is what there is by then. Throws std::system_error when a thread, its CPU or epoll
// cannot be had.
LoadOutcome run_load(const LoadSpec& spec, const std::atomic<bool>& stop,
                     const LoadHooks& hooks = {});

}  // namespace spawnpool::load
