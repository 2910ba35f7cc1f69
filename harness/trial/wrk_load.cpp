#include "harness/trial/wrk_load.hpp"

#include "harness/load/histogram.hpp"

namespace spawnpool::trial {
namespace {

Measured<double> quantile(const WrkReport& report, std::uint64_t per_mille) {
  const std::uint64_t rank = ((report.requests - report.unasked) * per_mille + 999) / 1000;
  std::uint64_t seen = 0;
  for (const auto& [value, count] : report.latency) {
    seen += count;
    if (seen >= rank) {
      return static_cast<double>(value);
    }
  }
  return Unmeasured{"lies among the answers that came after the time-out"};
}

Measured<std::string> encoded(const LatencyCounts& latency) {
  load::Histogram histogram;
  for (const auto& [value, count] : latency) {
    if (!histogram.record(value, count)) {
      return Unmeasured{"a latency is beyond the histogram's range"};
    }
  }
  return histogram.encode();
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

LoadResult load_result(const WrkReport& report, double generator_utilization) {
  LoadResult load;
  load.requests = report.requests;
  load.throughput_rps =
      static_cast<double>(report.requests) * 1e6 / static_cast<double>(report.duration_us);
  load.errors = {report.connect_errors, report.read_errors,   report.write_errors,
                 report.timeout_errors, report.status_errors, {}};
  load.bytes_received = report.bytes;
  load.latency_us = latency_result(report);
  load.latency_histogram = encoded(report.latency);
  load.generator.cpu_utilization = generator_utilization;

  load.errors.protocol = Unmeasured{"the driver wrk counts bad answers as read errors"};
  load.rejected = Unmeasured{"the driver wrk does not tell refused from failed requests"};
  const Unmeasured closed{"closed loop: no send time is intended"};
  load.offered_rps = Unmeasured{"closed loop: no rate is offered"};
  load.wait_us = closed;
  load.wait_histogram = closed;
  load.generator.send_lag_us = closed;
  load.generator.send_lag_p50_us = closed;
  load.generator.send_lag_max_us = closed;
  const Unmeasured untold{"the driver wrk does not tell"};
  load.counts = untold;
  load.error_examples = untold;
  load.status_classes = untold;
  load.connections_opened = untold;
  load.reconnects = untold;
  load.first_byte_us = untold;
  load.first_byte_histogram = untold;
  load.generator.busy_share = untold;
  load.generator.pacing = untold;
  load.steady_state = untold;
  load.time_series = untold;
  load.background = Unmeasured{"the driver wrk has no background clients"};
  return load;
}

}  // namespace spawnpool::trial
