// A blocking HTTP/1.1 client for checks and counted requests, never for load: one request at a
// time, every byte of the answer accounted for, every wait bounded.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "harness/trial/spec.hpp"
#include "harness/trial/unique_fd.hpp"
#include "harness/trial/waiter.hpp"

namespace spawnpool::trial {

struct Endpoint {
  std::string address = "127.0.0.1";  // IPv4, dotted
  std::uint16_t port = 0;
};

// What the target did wrong, in one line.
class HttpError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct HttpAnswer {
  unsigned status = 0;
  std::string body;
  std::uint64_t bytes = 0;  // head and body as sent
  bool keep_alive = false;  // as HTTP says, by version and Connection header
};

// The bytes of a request as they are sent, by this client and by the load generator alike.
// `close` adds "Connection: close".
std::string request_bytes(const RequestSpec& request, const Endpoint& endpoint, bool close);

// Whether something listens at the endpoint and accepts within the deadline.
bool accepts_connections(Waiter& waiter, const Endpoint& endpoint, Clock::time_point deadline);

// A TCP port of 127.0.0.1 that nobody had a moment ago.
std::uint16_t free_port();

// One connection. Not thread-safe; `waiter` must outlive it.
class HttpConnection {
 public:
  // Throws HttpError when the connection is refused or not made by the deadline.
  HttpConnection(Waiter& waiter, const Endpoint& endpoint, Clock::time_point deadline);

  // Sends the request and receives the whole answer. Throws HttpError for an answer that is no
  // HTTP, is cut off, goes on behind its end, or is not complete by the deadline.
  HttpAnswer exchange(const std::string& request, Clock::time_point deadline);

  // Ends the sending side and waits until the target has closed its own.
  // Throws HttpError when the target sends instead, or has not closed by the deadline.
  void finish(Clock::time_point deadline);

  // Whether the target has closed the connection by the deadline.
  bool closed_by_target(Clock::time_point deadline);

 private:
  // Receives at least a byte; 0 at the end of the stream. Throws HttpError with `late` after the
  // deadline.
  std::size_t receive(char* data, std::size_t size, Clock::time_point deadline, const char* late);

  Waiter& waiter_;
  UniqueFd socket_;
};

}  // namespace spawnpool::trial
