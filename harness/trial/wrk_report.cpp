#include "harness/trial/wrk_report.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

namespace spawnpool::trial {

LatencyCounts undo_correction(const LatencyCounts& corrected, std::uint64_t interval_us) {
  LatencyCounts measured;
  for (const auto& [value, count] : corrected) {
    std::uint64_t added = 0;
    if (interval_us > 0 && value > interval_us) {
      const auto later = std::lower_bound(corrected.begin(), corrected.end(),
                                          std::pair(value + interval_us, std::uint64_t{0}));
      if (later != corrected.end() && later->first == value + interval_us) {
        added = later->second;
      }
    }
    if (added > count) {
      throw WrkReportError("wrk's histogram was not corrected the way wrk 4 does");
    }
    if (count > added) {
      measured.emplace_back(value, count - added);
    }
  }
  return measured;
}

WrkReport read_wrk_report(std::string_view output, std::uint64_t connections) {
  output = output.substr(0, output.find_last_not_of('\n') + 1);
  output = output.substr(output.rfind('\n') + 1);  // npos + 1 is 0
  WrkReport report;
  LatencyCounts corrected;
  try {
    const auto json = nlohmann::json::parse(output);
    json.at("duration_us").get_to(report.duration_us);
    json.at("requests").get_to(report.requests);
    json.at("bytes").get_to(report.bytes);
    const auto& errors = json.at("errors");
    errors.at("connect").get_to(report.connect_errors);
    errors.at("read").get_to(report.read_errors);
    errors.at("write").get_to(report.write_errors);
    errors.at("timeout").get_to(report.timeout_errors);
    errors.at("status").get_to(report.status_errors);
    json.at("latency").get_to(corrected);
  } catch (const nlohmann::json::exception&) {
    throw WrkReportError("wrk gave no report");
  }

  // As in wrk's main(), whole numbers throughout.
  const std::uint64_t rounds = report.requests / connections;
  report.latency =
      rounds == 0 ? corrected : undo_correction(corrected, report.duration_us / rounds);
  std::uint64_t recorded = 0;
  for (const auto& [value, count] : report.latency) {
    recorded += count;
  }
  recorded += report.timeout_errors;
  report.unasked = report.requests - std::min(recorded, report.requests);
  if (recorded > report.requests || report.unasked > report.status_errors) {
    throw WrkReportError("wrk counted " + std::to_string(report.requests) + " answers but " +
                         std::to_string(recorded - report.timeout_errors) + " latencies and " +
                         std::to_string(report.timeout_errors) + " time-outs");
  }
  return report;
}

}  // namespace spawnpool::trial
