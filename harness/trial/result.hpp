// What one trial found: the output of spawnpool-trial, and its JSON form.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace spawnpool::trial {

// Why a number is missing.
struct Unmeasured {
  std::string reason;
};

// A number, or why there is none. There is no third state: what could not be measured is never 0.
template <class T>
class Measured {
 public:
  Measured() : state_(Unmeasured{"the trial did not get that far"}) {}
  Measured(T value) : state_(value) {}  // NOLINT: a number is a measurement
  Measured(Unmeasured unmeasured) : state_(std::move(unmeasured)) {}  // NOLINT: likewise

  const T* value() const { return std::get_if<T>(&state_); }
  const std::string& reason() const { return std::get<Unmeasured>(state_).reason; }

 private:
  std::variant<T, Unmeasured> state_;
};

enum class Status { valid, invalid, failed };

struct Reason {
  std::string code;     // target-died-under-load, generator-bound, …
  std::string message;  // one line
};

// The target's answer as it was checked before the load.
struct CheckResult {
  unsigned status = 0;
  std::uint64_t body_bytes = 0;
  std::uint64_t response_bytes = 0;  // with the head
};

struct ErrorCounts {
  Measured<std::uint64_t> connect, read, write, timeout, status;
};

struct LatencyResult {  // microseconds
  Measured<double> mean;
  Measured<std::uint64_t> p50, p90, p99, p99_9, max;
};

struct LoadResult {
  Measured<std::uint64_t> requests;  // answers received in the window
  Measured<double> throughput_rps;
  Measured<double> offered_rps;
  ErrorCounts errors;
  Measured<std::uint64_t> rejected;
  LatencyResult latency_us;
  Measured<std::string> latency_histogram;     // HdrHistogram V2, base64
  Measured<double> generator_cpu_utilization;  // CPU time per time and core, 1.0: all of it
  Measured<double> send_lag_us;
};

struct AllocationsResult {
  Measured<double> per_request, per_connection, bytes_per_request, bytes_per_connection;
};

struct ServerResult {
  Measured<double> cpu_us_per_request, cpu_user_us_per_request, cpu_system_us_per_request;
  Measured<double> cpu_utilization;  // CPU time per time and core
  Measured<double> context_switches_per_request, page_faults_per_request;
  Measured<double> syscalls_per_request, instructions_per_request;
  Measured<std::uint64_t> threads_peak, threads_started, rss_peak_bytes;
  AllocationsResult allocations;
};

struct Cpus {
  std::vector<int> server;
  std::vector<int> generator;
  bool shared = false;  // both on one physical core: they take time from each other
};

struct TrialResult {
  std::string target, scenario;
  nlohmann::json point = nlohmann::json::object();
  std::int64_t block = 0, position = 0;
  std::uint64_t seed = 0;
  std::string driver;
  Status status = Status::valid;
  std::vector<Reason> reasons;
  std::string started_at;  // UTC, RFC 3339 with milliseconds
  Measured<double> warmup_s, window_s;
  std::vector<std::string> command;
  Cpus cpus;
  std::vector<std::string> target_stderr;
  Measured<CheckResult> check;
  LoadResult load;
  ServerResult server;

  // Adds a reason; the status becomes the worse of the two.
  void mark(Status at_least, Reason reason);
};

// Every key of the result format is there; each null is named in "unmeasured" with its reason.
nlohmann::ordered_json to_json(const TrialResult& result);

}  // namespace spawnpool::trial
