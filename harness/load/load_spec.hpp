// What the load generator is to do.
#pragma once

#include <netinet/in.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace spawnpool::load {

using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

// The server. IPv4 or IPv6, resolved once.
struct Endpoint {
  sockaddr_storage address{};
  socklen_t length = 0;
  std::string text;  // as messages name it: "127.0.0.1:8080"
};

// One kind of request, as the bytes that go over the wire.
struct Request {
  std::string keep;   // asks to keep the connection
  std::string close;  // the same with "Connection: close"
  bool head = false;  // its answer has no body whatever its header says
  double weight = 1;  // how often it is asked, relative to the others; above 0
};

// What an answer has to be; one that differs is a status error. Without `status`, 400 and above are
// errors.
struct Expectation {
  std::optional<unsigned> status;
  std::optional<std::uint64_t> body_bytes;
};

enum class Arrivals { poisson, uniform };

// How a generator thread waits. Busy polling takes a whole core and sees an event within a
// microsecond; sleeping costs a wake-up of the thread for each wait.
enum class Pacing { busy_poll, sleep };

// Open loop: requests are due at times that do not depend on the server.
struct OpenLoop {
  double rate = 0;  // requests per second, over all threads; with `burst`, burst / every
  Arrivals arrivals = Arrivals::poisson;
  unsigned burst = 0;         // above 0: so many at once ...
  nanoseconds burst_every{};  // ... each time this has passed, the first at once
  std::size_t backlog = 0;    // arrivals that may wait for a connection; those beyond are dropped
  std::uint64_t seed = 0;
};

// Connections beside the measured load.
struct Background {
  unsigned idle = 0;          // one request, then silence
  unsigned slow_senders = 0;  // send a request, byte by byte, again and again
  unsigned slow_readers = 0;  // read their answer byte by byte, again and again
  unsigned bytes_per_second = 10;

  unsigned total() const { return idle + slow_senders + slow_readers; }
};

struct LoadSpec {
  Endpoint endpoint = {};
  std::vector<Request> requests = {};  // at least one
  Expectation expect = {};
  unsigned connections = 16;                  // over all threads
  unsigned pipeline = 1;                      // requests under way on a connection
  std::uint64_t requests_per_connection = 0;  // 0: no limit
  nanoseconds think_time{};                   // closed loop: between an answer and the next request
  std::optional<OpenLoop> open_loop = {};
  nanoseconds warmup{};
  nanoseconds duration = std::chrono::seconds(10);
  nanoseconds timeout = std::chrono::seconds(5);  // for a request, and to connect
  std::vector<int> cpus = {};                     // a thread on each; empty: one thread, not pinned
  Pacing pacing = Pacing::sleep;
  std::vector<sockaddr_storage> sources =
      {};  // local addresses to rotate over; empty: the kernel's
  Background background = {};

  std::size_t threads() const { return cpus.empty() ? 1 : cpus.size(); }
};

}  // namespace spawnpool::load
