// When requests are due in open loop.
#pragma once

#include <cstdint>
#include <random>

#include "harness/load/load_spec.hpp"

namespace spawnpool::load {

// One thread's share of an open loop's arrivals, drawn from its seed: the same seed gives the same
// times. Knows no clock. Not thread-safe.
class ArrivalSequence {
 public:
  // `share` of `shares` equal parts. Uniform arrivals of the parts interleave evenly; Poisson
  // processes of the parts add up to one of the whole rate; a burst is split as evenly as it goes.
  ArrivalSequence(const OpenLoop& loop, unsigned share, unsigned shares);

  // The next arrival, counted from the start of the load. Never goes back.
  nanoseconds next();

 private:
  OpenLoop loop_;
  unsigned share_;
  unsigned shares_;
  std::uint64_t count_ = 0;  // arrivals given
  unsigned burst_share_ = 0;
  double due_ns_ = 0;
  std::mt19937_64 random_;
  std::exponential_distribution<double> gap_ns_;
};

}  // namespace spawnpool::load
