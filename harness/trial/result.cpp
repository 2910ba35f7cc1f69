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
    if (const T* const value = measured.value()) {
      object[key] = *value;
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

ordered_json load_json(Writer& writer, const LoadResult& load) {
  ordered_json json;
  writer.put(json, "load.", "requests", load.requests);
  writer.put(json, "load.", "throughput_rps", load.throughput_rps);
  writer.put(json, "load.", "offered_rps", load.offered_rps);
  ordered_json& errors = json["errors"];
  writer.put(errors, "load.errors.", "connect", load.errors.connect);
  writer.put(errors, "load.errors.", "read", load.errors.read);
  writer.put(errors, "load.errors.", "write", load.errors.write);
  writer.put(errors, "load.errors.", "timeout", load.errors.timeout);
  writer.put(errors, "load.errors.", "status", load.errors.status);
  writer.put(json, "load.", "rejected", load.rejected);
  ordered_json& latency = json["latency_us"];
  writer.put(latency, "load.latency_us.", "mean", load.latency_us.mean);
  writer.put(latency, "load.latency_us.", "p50", load.latency_us.p50);
  writer.put(latency, "load.latency_us.", "p90", load.latency_us.p90);
  writer.put(latency, "load.latency_us.", "p99", load.latency_us.p99);
  writer.put(latency, "load.latency_us.", "p99_9", load.latency_us.p99_9);
  writer.put(latency, "load.latency_us.", "max", load.latency_us.max);
  writer.put(json, "load.", "latency_histogram", load.latency_histogram);
  ordered_json& generator = json["generator"];
  writer.put(generator, "load.generator.", "cpu_utilization", load.generator_cpu_utilization);
  writer.put(generator, "load.generator.", "send_lag_us", load.send_lag_us);
  return json;
}

ordered_json server_json(Writer& writer, const ServerResult& server) {
  ordered_json json;
  writer.put(json, "server.", "cpu_us_per_request", server.cpu_us_per_request);
  writer.put(json, "server.", "cpu_user_us_per_request", server.cpu_user_us_per_request);
  writer.put(json, "server.", "cpu_system_us_per_request", server.cpu_system_us_per_request);
  writer.put(json, "server.", "cpu_utilization", server.cpu_utilization);
  writer.put(json, "server.", "context_switches_per_request", server.context_switches_per_request);
  writer.put(json, "server.", "page_faults_per_request", server.page_faults_per_request);
  writer.put(json, "server.", "syscalls_per_request", server.syscalls_per_request);
  writer.put(json, "server.", "instructions_per_request", server.instructions_per_request);
  writer.put(json, "server.", "threads_peak", server.threads_peak);
  writer.put(json, "server.", "threads_started", server.threads_started);
  writer.put(json, "server.", "rss_peak_bytes", server.rss_peak_bytes);
  ordered_json& allocations = json["allocations"];
  const std::string prefix = "server.allocations.";
  writer.put(allocations, prefix, "per_request", server.allocations.per_request);
  writer.put(allocations, prefix, "per_connection", server.allocations.per_connection);
  writer.put(allocations, prefix, "bytes_per_request", server.allocations.bytes_per_request);
  writer.put(allocations, prefix, "bytes_per_connection", server.allocations.bytes_per_connection);
  writer.put(allocations, prefix, "by_phase",
             Measured<double>(Unmeasured{"allocations are counted by process, not by phase"}));
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
  if (const CheckResult* const check = result.check.value()) {
    json["check"] = {{"status", check->status},
                     {"body_bytes", check->body_bytes},
                     {"response_bytes", check->response_bytes}};
  } else {
    writer.put(json, "", "check", Measured<double>(Unmeasured{result.check.reason()}));
  }
  json["load"] = load_json(writer, result.load);
  json["server"] = server_json(writer, result.server);
  json["unmeasured"] = writer.unmeasured();
  return json;
}

}  // namespace spawnpool::trial
