#include "servers/core/connection.hpp"

#include <poll.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <exception>
#include <new>

#include "servers/core/address_limit.hpp"
#include "servers/core/connection_registry.hpp"
#include "servers/core/phase.hpp"
#include "servers/core/system_call.hpp"
#include "servers/http/request_parser.hpp"
#include "servers/log.hpp"

namespace spawnpool {
namespace {

// A body up to this size is copied behind its head, so that several answers fit one write; a larger
// one is gathered from where it lies.
constexpr std::size_t max_copied_body_bytes = 2048;

// Wall-clock seconds for Date. Read from the vDSO: no system call, and the coarse clock is exact
// enough for a header that counts seconds.
std::time_t wall_seconds() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return now.tv_sec;
}

}  // namespace

Connection::Connection(Socket socket, ServerState& server, ConnectionMemory& memory)
    : socket_(std::move(socket)),
      server_(server),
      limits_(server.limits),
      memory_(memory),
      input_(memory.input()),
      output_(memory.output()) {}

// All of it in one function: where many threads take turns, each frame is a cache line that has
// gone meanwhile, and each return from a call across a switch of threads goes where the CPU did not
// expect it. With the bare system calls 2.5 % of a request at 64 connections (2.0 to 3.2, n = 60).
[[gnu::flatten]] void Connection::serve() noexcept {
  server_.registry.add(*this);
  try {
    while (!closing_ && next_request()) {
      answer();
    }
  } catch (const std::bad_alloc&) {
    log_error("request refused", "out of memory");
    Counters::add(server_.counters.errors_memory);
    refuse(503, "out of memory");
  }
  flush();
  Counters::add(server_.counters.requests, requests_);
  close();
}

// How bytes are sent. The last answer waits in the kernel for close(), so that it and the end of
// the connection leave in one segment and wake the peer once. Not before a lingering close, which
// another thread may get to later.
int Connection::send_flags() const {
  return closing_ && !linger_ ? MSG_NOSIGNAL | MSG_MORE : MSG_NOSIGNAL;
}

// Reads the next request into context_. False when there is none: the connection is to be closed.
bool Connection::next_request() {
  if (buffered() == 0) {
    position_ = end_ = 0;
    if (!flush() || !wait_for_request()) {
      return false;
    }
  } else if (input_.size() - position_ <
             limits_.max_header_bytes + ConnectionMemory::min_body_room) {
    // A header never moves while it is parsed, nor while its body is read: make room for the
    // largest, with an empty line before it, and something behind it, before it begins.
    std::memmove(input_.data(), input_.data() + position_, buffered());
    end_ = buffered();
    position_ = 0;
  }
  mark(Phase::parse);
  context_ = nullptr;  // the one before is gone, also when there is no memory for another
  context_ = &memory_.begin_request();
  RequestParser parser(context_->request, context_->body, limits_.max_header_bytes,
                       limits_.max_body_bytes);
  return read_header(parser) && (parser.done() || read_body(parser));
}

// Blocks until the first byte of a request. False at the end of the connection.
bool Connection::wait_for_request() {
  mark(Phase::read);
  Received received = Received::timeout;
  const bool first = requests_ == 0;
  if (!first) {
    // The store and the load below must not change places: either the thread that sets `draining`
    // finds this connection idle and wakes it, or this one sees `draining` (Dekker's protocol).
    state_.store(ConnectionState::idle, std::memory_order_seq_cst);
    if (server_.draining.load(std::memory_order_seq_cst)) {
      received = receive_now();  // a request that is here is answered
      if (received == Received::bytes) {
        state_.store(ConnectionState::active, std::memory_order_release);
        return true;
      }
      return false;
    }
    if (yield_.should_yield()) {
      yield_cpu();
      received = receive_now();
      yield_.learn(received != Received::timeout);
    }
  }
  if (received == Received::timeout) {
    received = receive(first ? limits_.header_timeout : limits_.idle_timeout);
  }
  if (received == Received::bytes) {
    state_.store(ConnectionState::active, std::memory_order_release);
    return true;
  }
  if (received == Received::timeout) {
    Counters::add(first ? server_.counters.errors_header_timeout
                        : server_.counters.errors_idle_timeout);
  }
  return false;
}

bool Connection::read_header(RequestParser& parser) {
  std::size_t begin = position_;
  bool started = false;
  // Taken when the first part turns out not to be the whole: a header in one piece needs no clock.
  Clock::time_point deadline{};
  for (;;) {
    // RFC 9112, 2.2: a server should ignore an empty line before the request line.
    if (!started && unread().starts_with("\r\n")) {
      position_ += 2;
      begin = position_;
      started = true;
    }
    if (buffered() > 0 && (started || unread() != "\r")) {
      started = true;
      position_ += parser.parse(unread());
      if (parser.refusal()) {
        refuse_message(parser.refusal().status, parser.refusal().reason);
        return false;
      }
      if (parser.header_done()) {
        break;
      }
    }
    if (end_ - begin >= limits_.max_header_bytes) {
      refuse_message(431, "header too large");
      return false;
    }
    if (deadline == Clock::time_point{}) {
      deadline = Clock::now() + limits_.header_timeout;
    }
    if (!flush()) {
      return false;
    }
    const Received received = receive_more(deadline);
    if (received == Received::end && end_ == begin) {
      return false;  // an empty line without a request behind it is nothing to refuse
    }
    if (received != Received::bytes) {
      return incomplete(received, server_.counters.errors_header_timeout);
    }
  }
  if (position_ - begin > limits_.max_header_bytes) {
    refuse_message(431, "header too large");
    return false;
  }
  return true;
}

bool Connection::read_body(RequestParser& parser) {
  if (parser.expects_continue() && buffered() == 0) {
    constexpr std::string_view interim = "HTTP/1.1 100 Continue\r\n\r\n";
    if (!send_all({output_.data(), pending_}, interim)) {
      return false;
    }
    pending_ = 0;
  }
  const std::size_t begin = position_;  // the header's bytes before it are still in use
  const Clock::time_point deadline = Clock::now() + limits_.body_timeout;
  for (;;) {
    if (buffered() > 0) {
      position_ += parser.parse(unread());
      if (parser.refusal()) {
        refuse_message(parser.refusal().status, parser.refusal().reason);
        return false;
      }
      if (parser.done()) {
        return true;
      }
    }
    // What is left is an unfinished chunk header or trailer: it must become whole in one place.
    std::memmove(input_.data() + begin, input_.data() + position_, buffered());
    end_ = begin + buffered();
    position_ = begin;
    if (end_ == input_.size()) {
      refuse_message(431, "chunk header or trailer too large");
      return false;
    }
    if (!flush()) {
      return false;
    }
    const Received received = receive_more(deadline);
    if (received != Received::bytes) {
      return incomplete(received, server_.counters.errors_body_timeout);
    }
  }
}

// A message that broke off. Answers where that is possible; always false.
bool Connection::incomplete(Received received, Counters::Count& timeout_counter) {
  if (server_.stop.is_set()) {  // cut by the drain: nobody's error
    closing_ = true;
    return false;
  }
  switch (received) {
    case Received::timeout:
      Counters::add(timeout_counter);
      refuse(408, "request took too long");
      break;
    case Received::end:  // the peer may have closed its side only
      refuse_message(400, "message ended early");
      break;
    case Received::bytes:
    case Received::broken:
      Counters::add(server_.counters.errors_peer);
      closing_ = true;
      break;
  }
  return false;
}

void Connection::answer() {
  mark(Phase::handle);
  RequestContext& context = *context_;
  Response& response = context.response;
  try {
    server_.router.handle(context);
  } catch (const std::exception& error) {
    Counters::add(server_.counters.errors_handler);
    log_error("handler threw", error.what());
    response = {.status = 500, .body = "Internal Server Error\n"};
    closing_ = true;
  } catch (...) {
    Counters::add(server_.counters.errors_handler);
    log_error("handler threw", "something that is no std::exception");
    response = {.status = 500, .body = "Internal Server Error\n"};
    closing_ = true;
  }
  mark(Phase::write);
  ++requests_;
  const Request& request = context.request;
  if (!request.keep_alive) {
    closing_ = true;
    linger_ = linger_ || buffered() > 0;
  } else if (requests_ == limits_.max_requests ||
             server_.draining.load(std::memory_order_relaxed)) {
    closing_ = linger_ = true;  // the client may have sent its next request
  }
  linger_ = linger_ || response.status == 500;

  if (output_.size() - pending_ < max_response_head_bytes + response.allow.size() && !flush()) {
    return;
  }
  const ConnectionHeader header = closing_                ? ConnectionHeader::close
                                  : request.version == 10 ? ConnectionHeader::keep_alive
                                                          : ConnectionHeader::none;
  char* const begin = output_.data() + pending_;
  pending_ += static_cast<std::size_t>(
      write_response_head(begin, response, header, wall_seconds()) - begin);
  const std::string_view body = request.method == verb::head ? std::string_view() : response.body;
  if (body.size() <= std::min(max_copied_body_bytes, output_.size() - pending_)) {
    pending_ = static_cast<std::size_t>(
        std::copy(body.begin(), body.end(), output_.data() + pending_) - output_.data());
  } else {
    if (!send_all({output_.data(), pending_}, body)) {
      closing_ = true;
    }
    pending_ = 0;
  }
}

// Refuses a message for what is in it.
void Connection::refuse_message(unsigned status, std::string_view reason) {
  Counters::add(server_.counters.errors_protocol);
  refuse(status, reason);
}

// Answers a message that is not to be handled, and ends the connection.
void Connection::refuse(unsigned status, std::string_view reason) {
  mark(Phase::write);
  closing_ = linger_ = true;
  if (output_.size() - pending_ < max_response_head_bytes + reason.size() + 1 && !flush()) {
    return;
  }
  const Response response{.status = status, .body = reason};
  char* const begin = output_.data() + pending_;
  char* end = write_response_head(begin, response, ConnectionHeader::close, wall_seconds());
  if (context_ == nullptr || context_->request.method != verb::head) {
    end = std::copy(reason.begin(), reason.end(), end);
  }
  pending_ += static_cast<std::size_t>(end - begin);
}

// Sends what is pending. False when the peer cannot be reached; then the connection is closing.
bool Connection::flush() {
  if (pending_ == 0) {
    return true;
  }
  const std::size_t size = std::exchange(pending_, 0);
  return send_all({output_.data(), size}, {});
}

bool Connection::send_all(std::string_view first, std::string_view second) {
  if (!second.empty()) {
    return send_parts(first, second, Clock::now() + limits_.write_timeout);
  }
  const ssize_t sent = send_bytes(socket_.fd(), first.data(), first.size(), send_flags());
  if (sent == static_cast<ssize_t>(first.size())) {
    return true;
  }
  // A batch of small answers that does not fit at once is rare: the clock is read only now.
  if (sent > 0 || errno == EINTR) {
    first.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(sent, 0)));
    return send_parts(first, {}, Clock::now() + limits_.write_timeout);
  }
  return lost(errno == EAGAIN);
}

bool Connection::send_parts(std::string_view first, std::string_view second,
                            Clock::time_point deadline) {
  for (;;) {
    iovec parts[2] = {{const_cast<char*>(first.data()), first.size()},
                      {const_cast<char*>(second.data()), second.size()}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    const ssize_t sent = sendmsg(socket_.fd(), &message, send_flags());
    if (sent < 0 && errno != EINTR) {
      return lost(errno == EAGAIN);
    }
    // Short or EINTR: SO_SNDTIMEO has passed, or the process was stopped and continued.
    auto gone = static_cast<std::size_t>(std::max<ssize_t>(sent, 0));
    const std::size_t of_first = std::min(gone, first.size());
    first.remove_prefix(of_first);
    second.remove_prefix(gone - of_first);
    if (first.empty() && second.empty()) {
      return true;
    }
    if (Clock::now() >= deadline) {
      return lost(/*timeout=*/true);
    }
  }
}

// The peer cannot be written to any more. Always false.
bool Connection::lost(bool timeout) {
  if (!server_.stop.is_set()) {  // else cut by the drain: nobody's error
    Counters::add(timeout ? server_.counters.errors_write_timeout : server_.counters.errors_peer);
  }
  closing_ = true;
  linger_ = false;
  pending_ = 0;
  return false;
}

// Receives what is there, behind what is buffered: Received::timeout when nothing is.
Connection::Received Connection::receive_now() {
  return outcome_of(
      receive_bytes(socket_.fd(), input_.data() + end_, input_.size() - end_, MSG_DONTWAIT));
}

// What became of a recv behind what is buffered.
Connection::Received Connection::outcome_of(ssize_t n) {
  if (n > 0) {
    end_ += static_cast<std::size_t>(n);
    return Received::bytes;
  }
  if (n == 0) {
    return Received::end;
  }
  return errno == EAGAIN || errno == EINTR ? Received::timeout : Received::broken;
}

// Receives behind what is buffered, waiting at most `timeout` for it.
Connection::Received Connection::receive(std::chrono::nanoseconds timeout) {
  for (unsigned spin = 0; spin < limits_.receive_spin; ++spin) {
    const Received found = receive_now();
    if (found != Received::timeout) {
      return found;
    }
  }
  // The time-out that the socket inherited is the shorter of the two that can apply here, so that
  // the first wait is one system call; only a longer one goes on with poll.
  const auto inherited = std::min(limits_.header_timeout, limits_.idle_timeout);
  if (timeout >= inherited) {
    ssize_t n = 0;
    do {  // a time-out makes recv come back when the process was stopped and continued
      n = receive_bytes(socket_.fd(), input_.data() + end_, input_.size() - end_, 0);
    } while (n < 0 && errno == EINTR);
    const Received found = outcome_of(n);
    if (found != Received::timeout) {
      return found;
    }
    timeout -= inherited;
  }
  return receive_until(Clock::now() + timeout);
}

// Receives what a request goes on with.
Connection::Received Connection::receive_more(Clock::time_point deadline) {
  mark(Phase::read);
  const Received received = receive_until(deadline);
  mark(Phase::parse);
  return received;
}

Connection::Received Connection::receive_until(Clock::time_point deadline) {
  for (;;) {
    const Received found = receive_now();
    if (found != Received::timeout) {
      return found;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) {
      return Received::timeout;
    }
    pollfd polled{socket_.fd(), POLLIN, 0};
    poll(&polled, 1,
         static_cast<int>(std::min<std::chrono::milliseconds::rep>(left.count(), 3'600'000)));
  }
}

void Connection::close() {
  mark(Phase::close);
  server_.registry.remove(*this);
  if (server_.addresses != nullptr) {
    server_.addresses->release(socket_.peer());
  }
  Counters::add(server_.counters.closed);
  if (linger_) {
    server_.lingering_close.close(std::move(socket_));
  } else {
    if (closing_) {
      // Pushes what send_flags() held back. close() alone would, but if the peer has sent more than
      // was read, it drops the answer with the connection.
      shutdown(socket_.fd(), SHUT_WR);
    }
    socket_.close();
  }
}

void refuse_accepted(ServerState& server, Socket socket, unsigned status, std::string_view reason) {
  std::array<char, max_response_head_bytes + 64> answer;
  const Response response{.status = status, .body = reason};
  char* end = write_response_head(answer.data(), response, ConnectionHeader::close, wall_seconds());
  end = std::copy(reason.begin(), reason.end(), end);
  send(socket.fd(), answer.data(), static_cast<std::size_t>(end - answer.data()),
       MSG_NOSIGNAL | MSG_DONTWAIT);
  server.lingering_close.close(std::move(socket));
}

namespace {

// Counts out a connection that was admitted. Before its socket is closed, so that its client finds
// room when it is back at once.
void count_out(ServerState& server, const Socket& socket) {
  server.registry.dismiss();
  if (server.addresses != nullptr) {
    server.addresses->release(socket.peer());
  }
  Counters::add(server.counters.closed);
}

}  // namespace

void drop_admitted(ServerState& server, Socket socket) {
  count_out(server, socket);
  socket.close();
}

void refuse_without_memory(ServerState& server, Socket socket) {
  log_error("connection refused", "out of memory");
  Counters::add(server.counters.errors_memory);
  count_out(server, socket);
  refuse_accepted(server, std::move(socket), 503, "out of memory");
}

}  // namespace spawnpool
