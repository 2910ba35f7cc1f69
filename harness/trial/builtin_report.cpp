#include "harness/trial/builtin_report.hpp"

#include <string>

namespace spawnpool::trial {
namespace {

using nlohmann::ordered_json;

// The values of the report; a null has its reason in the report's own list.
class ReportReader {
 public:
  explicit ReportReader(const ordered_json& report) : unmeasured_(report.at("unmeasured")) {}

  template <class T>
  void take(const ordered_json& object, const std::string& prefix, const char* key,
            Measured<T>& target) const {
    const ordered_json& value = object.at(key);
    if (value.is_null()) {
      const auto reason = unmeasured_.find(prefix + key);
      target = Unmeasured{reason != unmeasured_.end()
                              ? reason->template get<std::string>()
                              : "spawnpool-load does not tell, and gives no reason"};
    } else {
      target = value.get<T>();
    }
  }

 private:
  const ordered_json& unmeasured_;
};

RequestCounts read_counts(const ordered_json& json) {
  RequestCounts counts;
  json.at("intended").get_to(counts.intended);
  json.at("sent").get_to(counts.sent);
  json.at("answered").get_to(counts.answered);
  json.at("failed").get_to(counts.failed);
  json.at("unfinished").get_to(counts.unfinished);
  json.at("dropped").get_to(counts.dropped);
  json.at("unsent").get_to(counts.unsent);
  return counts;
}

LatencyResult read_latency(const ReportReader& reader, const ordered_json& load) {
  const ordered_json& json = load.at("latency_us");
  if (json.is_null()) {  // without an answer there is none
    Measured<double> none;
    reader.take(load, "load.", "latency_us", none);
    return {none, none, none, none, none, none};
  }
  LatencyResult latency;
  const std::string prefix = "load.latency_us.";
  reader.take(json, prefix, "mean", latency.mean);
  reader.take(json, prefix, "p50", latency.p50);
  reader.take(json, prefix, "p90", latency.p90);
  reader.take(json, prefix, "p99", latency.p99);
  reader.take(json, prefix, "p99_9", latency.p99_9);
  reader.take(json, prefix, "max", latency.max);
  return latency;
}

LoadResult read_load(const ReportReader& reader, const ordered_json& report) {
  const ordered_json& json = report.at("load");
  LoadResult load;
  const std::string prefix = "load.";
  reader.take(json, prefix, "requests", load.requests);
  reader.take(json, prefix, "throughput_rps", load.throughput_rps);
  reader.take(json, prefix, "offered_rps", load.offered_rps);
  load.counts = read_counts(json.at("counts"));
  const ordered_json& errors = json.at("errors");
  reader.take(errors, "load.errors.", "connect", load.errors.connect);
  reader.take(errors, "load.errors.", "read", load.errors.read);
  reader.take(errors, "load.errors.", "write", load.errors.write);
  reader.take(errors, "load.errors.", "timeout", load.errors.timeout);
  reader.take(errors, "load.errors.", "status", load.errors.status);
  reader.take(errors, "load.errors.", "protocol", load.errors.protocol);
  reader.take(json, prefix, "error_examples", load.error_examples);
  reader.take(json, prefix, "rejected", load.rejected);
  reader.take(json, prefix, "status_classes", load.status_classes);
  reader.take(json, prefix, "bytes_received", load.bytes_received);
  reader.take(json, prefix, "connections_opened", load.connections_opened);
  reader.take(json, prefix, "reconnects", load.reconnects);
  load.latency_us = read_latency(reader, json);
  reader.take(json, prefix, "latency_histogram", load.latency_histogram);
  reader.take(json, prefix, "wait_us", load.wait_us);
  reader.take(json, prefix, "wait_histogram", load.wait_histogram);
  reader.take(json, prefix, "first_byte_us", load.first_byte_us);
  reader.take(json, prefix, "first_byte_histogram", load.first_byte_histogram);
  const ordered_json& generator = json.at("generator");
  const std::string inner = "load.generator.";
  reader.take(generator, inner, "cpu_utilization", load.generator.cpu_utilization);
  reader.take(generator, inner, "busy_share", load.generator.busy_share);
  reader.take(generator, inner, "send_lag_us", load.generator.send_lag_us);
  reader.take(generator, inner, "send_lag_p50_us", load.generator.send_lag_p50_us);
  reader.take(generator, inner, "send_lag_max_us", load.generator.send_lag_max_us);
  reader.take(generator, inner, "pacing", load.generator.pacing);
  reader.take(report, "", "steady_state", load.steady_state);
  reader.take(report, "", "time_series", load.time_series);
  reader.take(report, "", "background", load.background);
  return load;
}

template <class T>
T or_zero(const Measured<T>& measured) {
  return measured.value() != nullptr ? *measured.value() : T{};
}

// Every request that was sent counts once, whatever became of it; those that were still under way
// at the end are no errors.
double error_share(const RequestCounts& counts, std::uint64_t status_errors) {
  const auto attempts = counts.answered + counts.failed;
  return attempts == 0
             ? 0
             : static_cast<double>(counts.failed + status_errors) / static_cast<double>(attempts);
}

BuiltinReport read_report(const ordered_json& json) {
  if (json.at("schema_version") != 1) {
    throw BuiltinReportError("spawnpool-load is of another version: its report has the schema " +
                             json.at("schema_version").dump() + "; build both anew");
  }
  BuiltinReport report;
  report.load = read_load(ReportReader(json), json);
  const LoadResult& load = report.load;
  json.at("load").at("window_s").get_to(report.window_s);
  json.at("warmup").at("duration_s").get_to(report.warmup_s);
  report.requests = or_zero(load.requests);
  const RequestCounts counts = or_zero(load.counts);
  const std::uint64_t refused = or_zero(load.errors.connect);
  report.quality.error_share = error_share(counts, or_zero(load.errors.status));
  report.quality.generator_busy = or_zero(load.generator.busy_share);
  if (load.offered_rps.value() != nullptr) {
    report.quality.rate = {or_zero(load.generator.send_lag_us), counts.intended, counts.sent};
  }
  for (const ordered_json& reason : json.at("validity").at("reasons")) {
    if (reason.at("code") == "background-missed") {
      reason.at("message").get_to(report.quality.background_missed);
    }
  }
  report.shutdown.answered = counts.answered;
  report.shutdown.refused = refused;
  report.shutdown.lost = counts.failed - refused + counts.unfinished;
  return report;
}

}  // namespace

BuiltinReport read_builtin_report(std::string_view output) {
  output = output.substr(0, output.find_last_not_of('\n') + 1);
  output = output.substr(output.rfind('\n') + 1);  // npos + 1 is 0
  const ordered_json json = ordered_json::parse(output, nullptr, false);
  if (!json.is_object() || !json.contains("load")) {
    throw BuiltinReportError("spawnpool-load gave no report");
  }
  try {
    return read_report(json);
  } catch (const ordered_json::exception& error) {
    throw BuiltinReportError(std::string("spawnpool-load's report is incomplete: ") + error.what());
  }
}

}  // namespace spawnpool::trial
