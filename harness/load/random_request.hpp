// Which request is asked next, by their weights.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "harness/load/load_spec.hpp"

namespace spawnpool::load {

// Draws from a seed; free of cost where there is no choice. Not thread-safe.
class RandomRequest {
 public:
  RandomRequest(const std::vector<Request>& requests, std::uint64_t seed)
      : single_(requests.size() == 1), random_(seed) {
    std::vector<double> weights;
    weights.reserve(requests.size());
    for (const Request& request : requests) {
      weights.push_back(request.weight);
    }
    choice_ = std::discrete_distribution<std::uint32_t>(weights.begin(), weights.end());
  }

  std::uint32_t next() { return single_ ? 0 : choice_(random_); }

 private:
  bool single_;
  std::mt19937_64 random_;
  std::discrete_distribution<std::uint32_t> choice_;
};

}  // namespace spawnpool::load
