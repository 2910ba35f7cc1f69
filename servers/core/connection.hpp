// The life of one connection, the same for every serving model.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "servers/core/connection_memory.hpp"
#include "servers/core/counters.hpp"
#include "servers/core/limits.hpp"
#include "servers/core/lingering_close.hpp"
#include "servers/core/socket.hpp"
#include "servers/core/yield_policy.hpp"
#include "servers/http/request_parser.hpp"
#include "servers/router.hpp"

namespace spawnpool {

class AddressLimit;
class ConnectionRegistry;
class RequestParser;

// What all connections of a server share. Outlives them.
struct ServerState {
  const Limits& limits;
  const Router& router;
  Counters& counters;
  ConnectionRegistry& registry;
  LingeringClose& lingering_close;
  StopEvent& stop;                    // set when the drain's time is up
  AddressLimit* addresses = nullptr;  // null: connections per address are not limited
  std::atomic<bool> draining{false};  // set when the server is about to stop
};

enum class ConnectionState : std::uint8_t {
  fresh,   // accepted, nothing received
  active,  // a request is being read, handled or answered
  idle,    // waits for the next request
};

// Serves HTTP/1.x on one blocking socket, from the first byte to the close. The socket inherits
// TCP_NODELAY and its time-outs from the listener (see Listener), so that nothing is set here.
class Connection {
 public:
  Connection(Socket socket, ServerState& server, ConnectionMemory& memory);

  // Serves until either side ends it, then closes the socket. Throws nothing.
  void serve() noexcept;

  // For the registry, from another thread, while registered:
  ConnectionState state() const { return state_.load(std::memory_order_seq_cst); }
  int fd() const { return socket_.fd(); }

 private:
  friend class ConnectionRegistry;

  enum class Received { bytes, end, timeout, broken };
  using Clock = std::chrono::steady_clock;

  bool next_request();
  bool wait_for_request();
  bool read_header(RequestParser& parser);
  bool read_body(RequestParser& parser);
  void answer();
  int send_flags() const;
  bool flush();
  bool send_all(std::string_view first, std::string_view second);
  bool send_parts(std::string_view first, std::string_view second, Clock::time_point deadline);
  bool lost(bool timeout);
  void refuse_message(unsigned status, std::string_view reason);
  void refuse(unsigned status, std::string_view reason);
  Received receive_now();
  Received outcome_of(ssize_t n);
  Received receive(std::chrono::nanoseconds timeout);
  Received receive_until(Clock::time_point deadline);
  Received receive_more(Clock::time_point deadline);
  bool incomplete(Received received, Counters::Count& timeout_counter);
  void close();

  std::size_t buffered() const { return end_ - position_; }
  std::string_view unread() const { return {input_.data() + position_, buffered()}; }

  Socket socket_;
  ServerState& server_;
  const Limits& limits_;
  ConnectionMemory& memory_;
  std::span<char> input_;
  std::span<char> output_;
  RequestContext* context_ = nullptr;

  std::size_t position_ = 0;  // in input_: first byte not parsed
  std::size_t end_ = 0;       // in input_: behind the last byte received
  std::size_t pending_ = 0;   // bytes in output_ not sent
  std::uint64_t requests_ = 0;
  bool closing_ = false;  // no further request: the last answer says so
  bool linger_ = false;   // the peer may have sent what was not read

  YieldPolicy yield_;

  std::atomic<ConnectionState> state_{ConnectionState::fresh};
  Connection* previous_ = nullptr;  // of ConnectionRegistry
  Connection* next_ = nullptr;
};

// Answers an accepted socket that nobody will serve, and closes it. Never waits: a new socket has
// room for the few bytes (`reason`: at most 64), and the lingering is another thread's. Allocates
// nothing, since want of memory is one of the causes.
void refuse_accepted(ServerState& server, Socket socket, unsigned status, std::string_view reason);

// Closes a connection that was admitted and that nobody will serve, and counts it out.
void drop_admitted(ServerState& server, Socket socket);

// Likewise, with 503 and a line in the log, for want of the memory to serve it.
void refuse_without_memory(ServerState& server, Socket socket);

}  // namespace spawnpool
