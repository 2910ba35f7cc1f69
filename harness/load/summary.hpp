// The outcome of a load in words, for people.
#pragma once

#include <ostream>
#include <vector>

#include "harness/load/judgement.hpp"
#include "harness/load/run.hpp"
#include "harness/load/saturation.hpp"

namespace spawnpool::load {

void print_summary(std::ostream& out, const LoadSpec& spec, const LoadOutcome& outcome,
                   const std::vector<Doubt>& doubts);

void print_saturation(std::ostream& out, const Condition& bound, const Saturation& saturation);

}  // namespace spawnpool::load
