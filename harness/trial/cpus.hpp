// Which cores the server and the load generator run on.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "harness/trial/result.hpp"
#include "harness/trial/spec.hpp"

namespace spawnpool::trial {

// The CPUs the calling thread may run on, in ascending order.
std::vector<int> affinity_mask();

// The hardware threads of the core that `cpu` belongs to, in ascending order and `cpu` among them,
// as /sys says. Where /sys says nothing, a CPU is taken for a core.
std::vector<int> smt_siblings(int cpu);

// Chooses from `allowed` (ascending, not empty): the server gets the first CPU of the first core,
// the generator that of the second. With one core only, both are on it and the result says
// `shared`. A wish is taken as it is; throws cli::UsageError when it leaves `allowed`.
Cpus choose_cpus(const std::optional<CpusSpec>& wish, const std::vector<int>& allowed,
                 const std::function<std::vector<int>(int)>& siblings = smt_siblings);

// Where the trial itself does the least harm: the CPUs of `allowed` on whose cores neither the
// server nor the generator is, or, where all are taken, those of the generator.
std::vector<int> bystander_cpus(
    const Cpus& taken, const std::vector<int>& allowed,
    const std::function<std::vector<int>(int)>& siblings = smt_siblings);

// Puts the calling thread onto `cpus`.
void pin_self(const std::vector<int>& cpus);

}  // namespace spawnpool::trial
