// What spawnpool-load reports at its end, in the terms of the result.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string_view>

#include "harness/trial/result.hpp"
#include "harness/trial/validity.hpp"

namespace spawnpool::trial {

// Thrown when the report is not there or lacks a number.
class BuiltinReportError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct BuiltinReport {
  LoadResult load;
  LoadQuality quality;
  std::uint64_t requests = 0;  // load.requests
  double warmup_s = 0, window_s = 0;
  // As the load of a target that was shut down; without exit_s.
  ShutdownResult shutdown;
};

// Reads the last line of spawnpool-load's output. Throws BuiltinReportError.
BuiltinReport read_builtin_report(std::string_view output);

}  // namespace spawnpool::trial
