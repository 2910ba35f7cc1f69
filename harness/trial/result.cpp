#include "harness/trial/result.hpp"

#include <algorithm>

namespace spawnpool::trial {
namespace {

using nlohmann::ordered_json;

// Writes values under their dotted path and keeps the reasons of the missing ones.
class Writer {
 public:
  template <class T>
  void put(ordered_json& object, const std::string& prefix, const char* key,
           const Measured<T>& measured) {
    put(object, prefix, key, measured, [](const T& value) { return ordered_json(value); });
  }

  template <class T, class ToJson>
  void put(ordered_json& object, const std::string& prefix, const char* key,
           const Measured<T>& measured, const ToJson& to_json) {
    if (const T* const value = measured.value()) {
      object[key] = to_json(*value);
      return;
    }
    object[key] = nullptr;
    unmeasured_[prefix + key] = measured.reason();
  }

  const ordered_json& unmeasured() const { return unmeasured_; }

 private:
  ordered_json unmeasured_ = ordered_json::object();
};

const char* name(Status status) {
  switch (status) {
    case Status::valid:
      return "valid";
    case Status::invalid:
      return "invalid";
    case Status::failed:
      break;
  }
  return "failed";
}

ordered_json counts_json(const RequestCounts& counts) {
  return {{"intended", counts.intended},     {"sent", counts.sent},
          {"answered", counts.answered},     {"failed", counts.failed},
          {"unfinished", counts.unfinished}, {"dropped", counts.dropped},
          {"unsent", counts.unsent}};
}

ordered_json errors_json(Writer& writer, const ErrorCounts& errors) {
  ordered_json json;
  const std::string prefix = "load.errors.";
  writer.put(json, prefix, "connect", errors.connect);
  writer.put(json, prefix, "read", errors.read);
  writer.put(json, prefix, "write", errors.write);
  writer.put(json, prefix, "timeout", errors.timeout);
  writer.put(json, prefix, "status", errors.status);
  writer.put(json, prefix, "protocol", errors.protocol);
  return json;
}

ordered_json latency_json(Writer& writer, const LatencyResult& latency) {
  ordered_json json;
  const std::string prefix = "load.latency_us.";
  writer.put(json, prefix, "mean", latency.mean);
  writer.put(json, prefix, "p50", latency.p50);
  writer.put(json, prefix, "p90", latency.p90);
  writer.put(json, prefix, "p99", latency.p99);
  writer.put(json, prefix, "p99_9", latency.p99_9);
  writer.put(json, prefix, "max", latency.max);
  return json;
}

ordered_json generator_json(Writer& writer, const GeneratorResult& generator) {
  ordered_json json;
  const std::string prefix = "load.generator.";
  writer.put(json, prefix, "cpu_utilization", generator.cpu_utilization);
  writer.put(json, prefix, "cpu_us_per_request", generator.cpu_us_per_request);
  writer.put(json, prefix, "busy_share", generator.busy_share);
  writer.put(json, prefix, "send_lag_us", generator.send_lag_us);
  writer.put(json, prefix, "send_lag_p50_us", generator.send_lag_p50_us);
  writer.put(json, prefix, "send_lag_max_us", generator.send_lag_max_us);
  writer.put(json, prefix, "pacing", generator.pacing);
  return json;
}

ordered_json load_json(Writer& writer, const LoadResult& load) {
  ordered_json json;
  const std::string prefix = "load.";
  writer.put(json, prefix, "requests", load.requests);
  writer.put(json, prefix, "throughput_rps", load.throughput_rps);
  writer.put(json, prefix, "offered_rps", load.offered_rps);
  writer.put(json, prefix, "counts", load.counts, counts_json);
  json["errors"] = errors_json(writer, load.errors);
  writer.put(json, prefix, "error_examples", load.error_examples);
  writer.put(json, prefix, "rejected", load.rejected);
  writer.put(json, prefix, "status_classes", load.status_classes);
  writer.put(json, prefix, "bytes_received", load.bytes_received);
  writer.put(json, prefix, "connections_opened", load.connections_opened);
  writer.put(json, prefix, "reconnects", load.reconnects);
  json["latency_us"] = latency_json(writer, load.latency_us);
  writer.put(json, prefix, "latency_histogram", load.latency_histogram);
  writer.put(json, prefix, "wait_us", load.wait_us);
  writer.put(json, prefix, "wait_histogram", load.wait_histogram);
  writer.put(json, prefix, "first_byte_us", load.first_byte_us);
  writer.put(json, prefix, "first_byte_histogram", load.first_byte_histogram);
  json["generator"] = generator_json(writer, load.generator);
  writer.put(json, prefix, "steady_state", load.steady_state);
  writer.put(json, prefix, "time_series", load.time_series);
  writer.put(json, prefix, "background", load.background);
  return json;
}

ordered_json check_json(const CheckResult& check) {
  return {{"status", check.status},
          {"body_bytes", check.body_bytes},
          {"response_bytes", check.response_bytes}};
}

ordered_json shutdown_json(Writer& writer, const ShutdownResult& shutdown) {
  ordered_json json;
  json["answered"] = shutdown.answered;
  json["refused"] = shutdown.refused;
  json["lost"] = shutdown.lost;
  writer.put(json, "shutdown.", "exit_s", shutdown.exit_s);
  return json;
}

ordered_json by_name_json(const std::map<std::string, SyscallCost>& by_name) {
  ordered_json json = ordered_json::object();
  for (const auto& [name, cost] : by_name) {
    json[name] = {{"per_request", cost.per_request}, {"per_connection", cost.per_connection}};
  }
  return json;
}

ordered_json phases_json(const std::vector<PhaseAllocations>& phases) {
  ordered_json json = ordered_json::object();
  for (const PhaseAllocations& phase : phases) {
    json[phase.phase] = {{"per_request", phase.per_request},
                         {"per_connection", phase.per_connection},
                         {"bytes_per_request", phase.bytes_per_request},
                         {"bytes_per_connection", phase.bytes_per_connection}};
  }
  return json;
}

ordered_json syscall_phases_json(const std::vector<PhaseSyscalls>& phases) {
  ordered_json json = ordered_json::object();
  for (const PhaseSyscalls& phase : phases) {
    json[phase.phase] = {{"per_request", phase.per_request},
                         {"per_connection", phase.per_connection},
                         {"us_per_request", phase.us_per_request},
                         {"us_per_connection", phase.us_per_connection},
                         {"wait_us_per_request", phase.wait_us_per_request},
                         {"wait_us_per_connection", phase.wait_us_per_connection}};
  }
  return json;
}

ordered_json series_json(Writer& writer, const SeriesResult& series) {
  ordered_json json = {{"t_s", series.t_s},
                       {"cpu_utilization", series.cpu_utilization},
                       {"threads", series.threads},
                       {"rss_bytes", series.rss_bytes}};
  writer.put(json, "server.time_series.", "status", series.status, [](const StatusSeries& status) {
    return ordered_json{{"t_s", status.t_s},
                        {"connections_open", status.connections_open},
                        {"threads_busy", status.threads_busy},
                        {"threads_ready", status.threads_ready},
                        {"queued", status.queued}};
  });
  return json;
}

// Its migrations stand beside the context switches of the timed window.
ordered_json perf_json(Writer& writer, const PerfResult& perf) {
  ordered_json json;
  const std::string prefix = "server.perf.";
  writer.put(json, prefix, "scope", perf.scope);
  writer.put(json, prefix, "requests", perf.requests);
  writer.put(json, prefix, "running_share", perf.running_share);
  for (std::size_t event = 0; event < perf.per_request.size(); ++event) {
    if (event != static_cast<std::size_t>(cost::PerfEvent::migrations)) {
      const std::string name(cost::perf_event_names.at(event));
      writer.put(json, prefix, (name + "_per_request").c_str(), perf.per_request.at(event));
    }
  }
  return json;
}

ordered_json server_json(Writer& writer, const ServerResult& server) {
  ordered_json json;
  writer.put(json, "server.", "cpu_us_per_request", server.cpu_us_per_request);
  writer.put(json, "server.", "cpu_user_us_per_request", server.cpu_user_us_per_request);
  writer.put(json, "server.", "cpu_system_us_per_request", server.cpu_system_us_per_request);
  writer.put(json, "server.", "cpu_utilization", server.cpu_utilization);
  writer.put(json, "server.", "context_switches_per_request", server.context_switches_per_request);
  writer.put(json, "server.", "voluntary_switches_per_request",
             server.voluntary_switches_per_request);
  writer.put(json, "server.", "involuntary_switches_per_request",
             server.involuntary_switches_per_request);
  writer.put(json, "server.", "run_queue_wait_us_per_request",
             server.run_queue_wait_us_per_request);
  writer.put(json, "server.", "migrations_per_request",
             server.perf.per_request.at(static_cast<std::size_t>(cost::PerfEvent::migrations)));
  writer.put(json, "server.", "page_faults_per_request", server.page_faults_per_request);
  writer.put(json, "server.", "syscalls_per_request", server.syscalls.per_request);
  writer.put(json, "server.", "syscalls_per_connection", server.syscalls.per_connection);
  writer.put(json, "server.", "syscalls_by_name", server.syscalls.by_name, by_name_json);
  writer.put(json, "server.", "syscalls_by_phase", server.syscalls.by_phase, syscall_phases_json);
  writer.put(json, "server.", "instructions_per_request", server.instructions.per_request);
  writer.put(json, "server.", "instructions_per_connection", server.instructions.per_connection);
  json["perf"] = perf_json(writer, server.perf);
  writer.put(json, "server.", "threads", server.threads);
  writer.put(json, "server.", "threads_peak", server.threads_peak);
  writer.put(json, "server.", "threads_started", server.threads_started);
  writer.put(json, "server.", "rss_bytes", server.rss_bytes);
  writer.put(json, "server.", "rss_peak_bytes", server.rss_peak_bytes);
  writer.put(json, "server.", "time_series", server.time_series,
             [&writer](const SeriesResult& series) { return series_json(writer, series); });
  ordered_json& allocations = json["allocations"];
  const std::string prefix = "server.allocations.";
  writer.put(allocations, prefix, "source", server.allocations.source);
  writer.put(allocations, prefix, "per_request", server.allocations.per_request);
  writer.put(allocations, prefix, "per_connection", server.allocations.per_connection);
  writer.put(allocations, prefix, "bytes_per_request", server.allocations.bytes_per_request);
  writer.put(allocations, prefix, "bytes_per_connection", server.allocations.bytes_per_connection);
  writer.put(allocations, prefix, "by_phase", server.allocations.by_phase, phases_json);
  writer.put(allocations, prefix, "heap_live_bytes", server.allocations.heap_live_bytes);
  writer.put(allocations, prefix, "heap_peak_bytes", server.allocations.heap_peak_bytes);
  writer.put(allocations, prefix, "stack_bytes_started", server.allocations.stack_bytes_started);
  return json;
}

ordered_json machine_json(Writer& writer, const MachineResult& machine) {
  ordered_json json;
  writer.put(json, "machine.", "foreign_cpu_share", machine.foreign_cpu_share);
  writer.put(json, "machine.", "steal_share", machine.steal_share);
  writer.put(json, "machine.", "server_idle_share", machine.server_idle_share);
  return json;
}

}  // namespace

void TrialResult::mark(Status at_least, Reason reason) {
  status = std::max(status, at_least);
  reasons.push_back(std::move(reason));
}

ordered_json to_json(const TrialResult& result) {
  Writer writer;
  ordered_json json;
  json["target"] = result.target;
  json["scenario"] = result.scenario;
  json["point"] = result.point;
  json["block"] = result.block;
  json["position"] = result.position;
  json["seed"] = result.seed;
  json["driver"] = result.driver;
  json["status"] = name(result.status);
  json["reasons"] = ordered_json::array();
  for (const Reason& reason : result.reasons) {
    json["reasons"].push_back({{"code", reason.code}, {"message", reason.message}});
  }
  json["started_at"] = result.started_at;
  writer.put(json, "", "warmup_s", result.warmup_s);
  writer.put(json, "", "window_s", result.window_s);
  json["command"] = result.command;
  json["cpus"] = {{"server", result.cpus.server},
                  {"generator", result.cpus.generator},
                  {"shared", result.cpus.shared}};
  json["target_stderr"] = result.target_stderr;
  writer.put(json, "", "check", result.check, check_json);
  json["load"] = load_json(writer, result.load);
  writer.put(json, "", "shutdown", result.shutdown,
             [&writer](const ShutdownResult& shutdown) { return shutdown_json(writer, shutdown); });
  json["server"] = server_json(writer, result.server);
  json["machine"] = machine_json(writer, result.machine);
  json["unmeasured"] = writer.unmeasured();
  return json;
}

}  // namespace spawnpool::trial
