// How long a thread was kept from running.
#pragma once

#include <chrono>
#include <optional>

namespace spawnpool::load {

// The time since its start in which the calling thread was ready to run but another ran on its CPU;
// nothing when the kernel does not tell (it does with CONFIG_SCHED_INFO, in
// /proc/thread-self/schedstat). A wait that is not over yet is not in it.
std::optional<std::chrono::nanoseconds> run_delay();

}  // namespace spawnpool::load
