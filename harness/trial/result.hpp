// What one trial found: the output of spawnpool-trial, and its JSON form.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "harness/cost/perf_counters.hpp"

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
  Measured<std::uint64_t> connect, read, write, timeout, status, protocol;
};

// What became of the requests that were intended for the window: intended = sent + dropped +
// unsent, sent = answered + failed + unfinished.
struct RequestCounts {
  std::uint64_t intended = 0, sent = 0, answered = 0, failed = 0, unfinished = 0;
  std::uint64_t dropped = 0;  // too many were waiting for a connection
  std::uint64_t unsent = 0;   // still waiting for one at the very end
};

struct LatencyResult {  // microseconds
  Measured<double> mean, p50, p90, p99, p99_9, max;
};

struct GeneratorResult {
  Measured<double> cpu_utilization;  // CPU time per time and core, 1.0: all of it
  Measured<double> cpu_us_per_request;
  Measured<double> busy_share;  // of the time, not idly polling or asleep
  // From the intended to the real sending of those that found a free connection.
  Measured<double> send_lag_us;  // p99
  Measured<double> send_lag_p50_us, send_lag_max_us;
  Measured<std::string> pacing;  // busy-poll, sleep
};

// Histograms are HdrHistogram V2, base64. What is JSON here is passed on as the generator wrote it.
struct LoadResult {
  Measured<std::uint64_t> requests;  // answers received in the window
  Measured<double> throughput_rps;
  Measured<double> offered_rps;
  Measured<RequestCounts> counts;
  ErrorCounts errors;
  Measured<nlohmann::ordered_json> error_examples;  // class -> the text of its first
  Measured<std::uint64_t> rejected;                 // answers 429 and 503
  Measured<nlohmann::ordered_json> status_classes;
  Measured<std::uint64_t> bytes_received, connections_opened, reconnects;
  LatencyResult latency_us;  // open loop: from the intended send time
  Measured<std::string> latency_histogram;
  Measured<nlohmann::ordered_json> wait_us;  // intended -> sent
  Measured<std::string> wait_histogram;
  Measured<nlohmann::ordered_json> first_byte_us;  // sent -> first byte of the answer
  Measured<std::string> first_byte_histogram;
  GeneratorResult generator;
  // {"steady", "evidence", "reason"}: a load that was not steady is no less valid, but says so.
  Measured<nlohmann::ordered_json> steady_state;
  Measured<nlohmann::ordered_json> time_series;
  Measured<nlohmann::ordered_json> background;
};

// A target that was told to end (SIGTERM) while the load went on. The numbers are those of the
// whole window, of which the generator knows no parts: answered includes what came before the
// signal. A healthy target refuses and loses nothing before it, so that all of those came after.
struct ShutdownResult {
  std::uint64_t answered = 0;
  std::uint64_t refused = 0;  // connections that could not be made
  std::uint64_t lost = 0;     // sent, but not answered as HTTP has it, or not before the end
  Measured<double> exit_s;    // from the signal until the process had ended
};

struct PhaseAllocations {
  std::string phase;
  double per_request, per_connection, bytes_per_request, bytes_per_connection;
};

// What the accounting pass counted.
struct AllocationsResult {
  Measured<std::string> source;  // who counted: interposer, go-runtime
  Measured<double> per_request, per_connection, bytes_per_request, bytes_per_connection;
  Measured<std::vector<PhaseAllocations>> by_phase;  // every phase; they add up to the above
  // After the load of the pass, and until then. The heap in usable bytes, see AllocationCounts.
  Measured<std::uint64_t> heap_live_bytes, heap_peak_bytes;
  Measured<std::uint64_t> stack_bytes_started;  // address space of all threads' stacks

  static AllocationsResult missing(const std::string& reason) {
    const Unmeasured all{reason};
    return {all, all, all, all, all, all, all, all, all};
  }
};

struct SyscallCost {
  double per_request = 0, per_connection = 0;
};

// Times are those from a call's beginning to its end, sleep included, in microseconds.
struct PhaseSyscalls {
  std::string phase;
  double per_request, per_connection;
  double us_per_request, us_per_connection;
  // Of these, in calls that wait for input, a connection or another thread.
  double wait_us_per_request, wait_us_per_connection;
};

struct SyscallsResult {
  Measured<double> per_request, per_connection;
  Measured<std::map<std::string, SyscallCost>> by_name;
  Measured<std::vector<PhaseSyscalls>> by_phase;  // every phase; calls add up to the above

  static SyscallsResult missing(const std::string& reason) {
    const Unmeasured all{reason};
    return {all, all, all, all};
  }
};

struct InstructionsResult {
  Measured<double> per_request, per_connection;

  static InstructionsResult missing(const std::string& reason) {
    const Unmeasured all{reason};
    return {all, all};
  }
};

// What the kernel's perf events counted under a load like the timed one, in a target of its own.
struct PerfResult {
  Measured<std::string> scope;  // whose code was counted: "user and kernel", "user"
  Measured<std::uint64_t> requests;
  Measured<double> running_share;  // the least of the events', see cost::PerfCount
  std::array<Measured<double>, cost::perf_event_names.size()> per_request;  // by cost::PerfEvent

  static PerfResult missing(const std::string& reason) {
    PerfResult result{Unmeasured{reason}, Unmeasured{reason}, Unmeasured{reason}, {}};
    result.per_request.fill(Unmeasured{reason});
    return result;
  }
};

// What our servers tell of themselves when they are asked: one value of each for each time in t_s.
struct StatusSeries {
  std::vector<double> t_s;
  std::vector<std::uint64_t> connections_open;             // queued ones included
  std::vector<std::uint64_t> threads_busy, threads_ready;  // with a connection, and without
  std::vector<std::uint64_t> queued;                       // connections without a thread
};

// The target along the window, every 100 ms, timed from the window's beginning as the generator's
// series is.
struct SeriesResult {
  std::vector<double> t_s;
  std::vector<double> cpu_utilization;  // since the time before, per core: 1 is all of it
  std::vector<std::uint64_t> threads, rss_bytes;
  Measured<StatusSeries> status;
};

struct ServerResult {
  Measured<double> cpu_us_per_request, cpu_user_us_per_request, cpu_system_us_per_request;
  Measured<double> cpu_utilization;               // CPU time per time and core
  Measured<double> context_switches_per_request;  // the sum of the next two
  Measured<double> voluntary_switches_per_request, involuntary_switches_per_request;
  Measured<double> run_queue_wait_us_per_request;  // of all its threads, ready without a core
  Measured<double> page_faults_per_request;
  SyscallsResult syscalls;
  InstructionsResult instructions;  // of user code
  PerfResult perf;
  Measured<std::uint64_t> threads, threads_peak, threads_started;
  Measured<std::uint64_t> rss_bytes, rss_peak_bytes;
  Measured<SeriesResult> time_series;
  AllocationsResult allocations;
};

// What the measured programs did not use of the trial's cores within the window, as shares of their
// time from 0 to 1.
struct MachineResult {
  Measured<double> foreign_cpu_share;  // other programs and the kernel's threads
  Measured<double> steal_share;        // the hypervisor
  Measured<double> server_idle_share;  // nobody, of the server's cores alone
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
  Measured<ShutdownResult> shutdown;
  ServerResult server;
  MachineResult machine;

  // Adds a reason; the status becomes the worse of the two.
  void mark(Status at_least, Reason reason);
};

// Every key of the result format is there; each null is named in "unmeasured" with its reason.
nlohmann::ordered_json to_json(const TrialResult& result);

}  // namespace spawnpool::trial
