// What a server counts about itself.
#pragma once

#include <atomic>
#include <cstdint>

namespace spawnpool {

// Counted with relaxed atomics, and per request only in the connection's own plain variables, which
// are added here when it ends: no lock and no shared cache line on the way of a request.
// Totals are exact once the server has stopped.
struct Counters {
  using Count = std::atomic<std::uint64_t>;

  Count accepted{0};
  Count open_peak{0};  // most connections at once, served or queued
  Count closed{0};
  Count requests{0};  // that came to the router, whatever the status; without those refused before

  Count rejected_busy{0};       // 503: no worker, queue full, or --max-connections reached
  Count rejected_address{0};    // 429: too many connections of one address
  Count rejected_no_thread{0};  // 503: a thread could not be started

  Count errors_accept{0};
  Count errors_protocol{0};  // malformed, too large or broken off: refused with 4xx or 5xx
  Count errors_header_timeout{0};
  Count errors_body_timeout{0};
  Count errors_write_timeout{0};
  Count errors_idle_timeout{0};
  Count errors_peer{0};     // reset or vanished in the middle of a message
  Count errors_handler{0};  // the handler threw
  Count errors_memory{0};   // 503: none for a connection's buffers, or for a request

  Count threads_started{0};
  Count workers_peak{0};
  Count workers_busy_peak{0};
  Count workers_reaped{0};
  Count queued{0};  // connections that were put into the queue
  Count queue_peak{0};
  Count queue_wait_ns{0};  // their waiting time, summed as each leaves it
  Count queue_wait_max_ns{0};

  static void add(Count& count, std::uint64_t n = 1) {
    count.fetch_add(n, std::memory_order_relaxed);
  }
  static void raise(Count& peak, std::uint64_t value) {
    std::uint64_t seen = peak.load(std::memory_order_relaxed);
    while (seen < value && !peak.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
    }
  }
};

}  // namespace spawnpool
