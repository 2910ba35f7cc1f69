// What wrk says at its end, read and put right.
//
// Measured by wrk: an answer's latency runs from the write of its request to its last byte, so that
// connecting is not in it. An answer that comes after --timeout is counted under errors.timeout and
// left out of the histogram; one that never comes is counted nowhere.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

namespace spawnpool::trial {

// Thrown when wrk's report is not there or does not add up.
class WrkReportError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Latencies in microseconds with their counts, ascending, no count 0.
using LatencyCounts = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

struct WrkReport {
  std::uint64_t duration_us = 0;
  std::uint64_t requests = 0;  // answers, those later than the time-out included
  std::uint64_t bytes = 0;
  std::uint64_t connect_errors = 0, read_errors = 0, write_errors = 0, timeout_errors = 0,
                status_errors = 0;  // status: 400 and above
  std::uint64_t unasked = 0;        // answers that came before their request, such as the 503 of
                                    // a full server: they have no latency
  LatencyCounts latency;            // as measured
};

// Undoes stats_correct of wrk 4 (src/stats.c), which adds to the histogram samples that nobody
// measured: for an interval e and every sample at n >= 2e one at n - e, n - 2e, ... above e. What
// is found at m > e is therefore the sum of the samples at m, m + e, m + 2e, ..., and the samples
// at m are the difference of what is found at m and at m + e. Throws WrkReportError when
// `corrected` cannot have come about so.
LatencyCounts undo_correction(const LatencyCounts& corrected, std::uint64_t interval_us);

// Reads the last line of wrk's output, written by wrk_report.lua; `connections` as given to wrk.
// Throws WrkReportError unless the samples that remain after undo_correction and the time-outs add
// up to the requests. wrk measures no latency of an answer that came before its request was sent,
// so as many may be missing as had a status of 400 and above.
WrkReport read_wrk_report(std::string_view output, std::uint64_t connections);

}  // namespace spawnpool::trial
