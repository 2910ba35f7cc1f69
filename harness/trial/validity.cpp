#include "harness/trial/validity.hpp"

#include <iomanip>
#include <sstream>

namespace spawnpool::trial {
namespace {

// A generator this busy had no time left to ask for more ...
constexpr double generator_busy = 0.97;
// ... of a server that was idle for more than a tenth.
constexpr double server_idle = 0.90;

std::string percent(double share, int digits) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(digits) << 100 * share << " %";
  return text.str();
}

Measured<std::uint64_t> quantile(const WrkReport& report, std::uint64_t per_mille) {
  const std::uint64_t rank = ((report.requests - report.unasked) * per_mille + 999) / 1000;
  std::uint64_t seen = 0;
  for (const auto& [value, count] : report.latency) {
    seen += count;
    if (seen >= rank) {
      return value;
    }
  }
  return Unmeasured{"lies among the answers that came after the time-out"};
}

}  // namespace

double error_share(const WrkReport& report) {
  const auto broken = report.connect_errors + report.read_errors + report.write_errors;
  const auto attempts = report.requests + broken;
  return attempts == 0
             ? 0
             : static_cast<double>(broken + report.timeout_errors + report.status_errors) /
                   static_cast<double>(attempts);
}

std::vector<Reason> doubts(const WrkReport& report, const LoadQuality& quality) {
  std::vector<Reason> reasons;
  const double share = error_share(report);
  if (share > quality.error_share_limit) {
    reasons.push_back({"error-share", percent(share, 3) + " of the requests failed, allowed are " +
                                          percent(quality.error_share_limit, 3)});
  }
  // wrk never tries again where a connection could not be begun: the load was smaller from then on.
  if (report.connect_errors > 0) {
    reasons.push_back({"error-share", "wrk lost " + std::to_string(report.connect_errors) +
                                          " of its connections for good (out of local ports or "
                                          "descriptors?)"});
  }
  if (!quality.shared_core && quality.generator_utilization >= generator_busy &&
      quality.server_utilization < server_idle) {
    reasons.push_back({"generator-bound", "the generator used " +
                                              percent(quality.generator_utilization, 0) +
                                              " of its CPU, the server only " +
                                              percent(quality.server_utilization, 0) +
                                              ": the generator was the limit"});
  }
  return reasons;
}

LatencyResult latency_result(const WrkReport& report) {
  LatencyResult result;
  result.p50 = quantile(report, 500);
  result.p90 = quantile(report, 900);
  result.p99 = quantile(report, 990);
  result.p99_9 = quantile(report, 999);
  result.max = quantile(report, 1000);
  double sum = 0;
  for (const auto& [value, count] : report.latency) {
    sum += static_cast<double>(value) * static_cast<double>(count);
  }
  if (report.timeout_errors == 0) {
    result.mean = sum / static_cast<double>(report.requests - report.unasked);
  } else {
    result.mean = Unmeasured{"some answers came after the time-out, how late is not known"};
  }
  return result;
}

}  // namespace spawnpool::trial
