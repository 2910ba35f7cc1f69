#include "servers/status.hpp"

#include <unistd.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "servers/options.hpp"

namespace spawnpool {
namespace {

using Json = nlohmann::ordered_json;

Json identity(const char* event, const ServerOptions& options) {
  return {{"event", event}, {"model", name(options.model)}, {"memory", name(options.memory)}};
}

}  // namespace

std::string ready_line(const ServerOptions& options, std::uint16_t port) {
  Json line = identity("ready", options);
  line["address"] = options.address;
  line["port"] = port;
  line["pid"] = getpid();
  line["status_signal"] = SIGUSR1;
  return line.dump();
}

std::string status_line(const Server& server) {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  const ServingModel::Sizes sizes = server.threads();
  const Json line = {
      {"event", "status"},
      {"monotonic_ns", std::chrono::duration_cast<std::chrono::nanoseconds>(now).count()},
      {"connections", {{"open", server.open_connections()}}},
      {"threads", {{"busy", sizes.threads - sizes.ready}, {"ready", sizes.ready}}},
      {"queued", sizes.queued}};
  return line.dump();
}

std::string exit_line(const ServerOptions& options, const Counters& counters,
                      const DrainReport& drain) {
  const auto value = [](const Counters::Count& count) {
    return count.load(std::memory_order_relaxed);
  };
  Json line = identity("exit", options);
  line["drain"] = {
      {"duration_us",
       std::chrono::duration_cast<std::chrono::microseconds>(drain.duration).count()},
      {"cut", drain.cut},
      {"connections",
       {{"open", drain.connections.open},
        {"new", drain.connections.fresh},
        {"active", drain.connections.active},
        {"idle", drain.connections.idle}}},
      {"threads",
       {{"busy", drain.threads.threads - drain.threads.ready}, {"ready", drain.threads.ready}}},
      {"queued", drain.threads.queued},
  };
  const std::uint64_t rejected = value(counters.rejected_busy) + value(counters.rejected_address) +
                                 value(counters.rejected_no_thread);
  line["counters"] = {
      {"accepted", value(counters.accepted)},
      {"closed", value(counters.closed)},
      {"open_peak", value(counters.open_peak)},
      {"requests", value(counters.requests)},
      {"rejected", rejected},
      {"rejected_busy", value(counters.rejected_busy)},
      {"rejected_address", value(counters.rejected_address)},
      {"rejected_no_thread", value(counters.rejected_no_thread)},
      {"errors_accept", value(counters.errors_accept)},
      {"errors_protocol", value(counters.errors_protocol)},
      {"errors_header_timeout", value(counters.errors_header_timeout)},
      {"errors_body_timeout", value(counters.errors_body_timeout)},
      {"errors_write_timeout", value(counters.errors_write_timeout)},
      {"errors_idle_timeout", value(counters.errors_idle_timeout)},
      {"errors_peer", value(counters.errors_peer)},
      {"errors_handler", value(counters.errors_handler)},
      {"errors_memory", value(counters.errors_memory)},
      {"threads_started", value(counters.threads_started)},
      {"workers_peak", value(counters.workers_peak)},
      {"workers_busy_peak", value(counters.workers_busy_peak)},
      {"workers_reaped", value(counters.workers_reaped)},
      {"queued", value(counters.queued)},
      {"queue_peak", value(counters.queue_peak)},
      {"queue_wait_us", value(counters.queue_wait_ns) / 1000},
      {"queue_wait_max_us", value(counters.queue_wait_max_ns) / 1000},
  };
  return line.dump();
}

}  // namespace spawnpool
