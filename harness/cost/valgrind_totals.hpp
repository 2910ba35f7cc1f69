// For tests: what valgrind memcheck counted.
#pragma once

#include <algorithm>
#include <regex>
#include <stdexcept>
#include <string>

#include "harness/cost/allocation_counter.hpp"

namespace spawnpool::cost {

// From its log. Throws std::runtime_error when that has no totals.
inline AllocationCounts valgrind_totals(std::string log) {
  std::erase(log, ',');
  std::smatch usage;
  if (!std::regex_search(
          log, usage,
          std::regex("total heap usage: (\\d+) allocs (\\d+) frees (\\d+) bytes allocated"))) {
    throw std::runtime_error("no totals of valgrind's (is it installed?): " + log);
  }
  return {.allocations = std::stoull(usage.str(1)),
          .frees = std::stoull(usage.str(2)),
          .bytes = std::stoull(usage.str(3))};
}

}  // namespace spawnpool::cost
