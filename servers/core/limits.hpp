// What bounds a connection, and where its memory comes from.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace spawnpool {

// How the context and the buffers of a connection are come by.
enum class MemoryPolicy {
  fresh,   // buffers anew per connection, context anew per request: net/http's way
  reused,  // both kept and recycled, as large as a request has made them: fasthttp's way
};

// Limits of one connection. Every time-out must be positive: nothing waits for ever.
struct Limits {
  std::size_t max_header_bytes = 8 * 1024;     // with the start line; 431 above
  std::uint64_t max_body_bytes = 1024 * 1024;  // after removing the chunking; 413 above
  std::uint64_t max_requests = 0;              // of one connection; 0: no limit
  std::chrono::nanoseconds header_timeout = std::chrono::seconds(10);  // whole header, a deadline
  std::chrono::nanoseconds body_timeout = std::chrono::seconds(30);    // whole body, a deadline
  std::chrono::nanoseconds write_timeout = std::chrono::seconds(30);   // one write
  std::chrono::nanoseconds idle_timeout = std::chrono::seconds(60);    // between two requests

  // Tries before blocking in recv. Each costs a system call that finds nothing on an idle
  // connection; on a busy core it can save the switch to another thread and back.
  unsigned receive_spin = 0;
};

}  // namespace spawnpool
