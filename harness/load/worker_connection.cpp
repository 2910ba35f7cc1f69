// The life of a worker's connection: open, ask, flush, read, finish, close.
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "harness/load/monotonic.hpp"
#include "harness/load/source_addresses.hpp"
#include "harness/load/worker.hpp"

namespace spawnpool::load {
namespace {

using namespace std::chrono_literals;
using State = ClientConnection::State;

constexpr int most_reads = 16;  // of a buffer each, in one turn for one connection
constexpr std::size_t largest_known_answer = 16 * 1024;
// The pause before a connection that failed is tried again doubles from the first to the last.
constexpr std::int64_t first_pause_ns = nanoseconds(1ms).count();
constexpr std::uint32_t most_doublings = 10;

// What servers say to a connection that was at rest for too long, before they close it.
bool tells_idle_timeout(std::string_view bytes) {
  constexpr std::string_view version = "HTTP/1.";
  return bytes.starts_with(version) && bytes.substr(version.size() + 1).starts_with(" 408");
}

std::string error_text(const char* what) {
  return std::string(what) + ": " + strerrordesc_np(errno);
}

}  // namespace

// Begins to connect. On failure nothing of it is left, and every request on it has failed.
void Worker::open(Connection& connection, std::int64_t now) {
  const sockaddr_storage& server = spec_.endpoint.address;
  connection.connecting_since = now;
  connection.fd = socket(server.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (connection.fd < 0) {
    fail(connection, ErrorClass::connect, error_text("socket"), now);
    return;
  }
  ++result_.connections_opened;
  result_.reconnects += connection.lost ? 1 : 0;
  connection.lost = false;
  const int on = 1;
  setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (!spec_.sources.empty()) {
    const sockaddr_storage& source = spec_.sources[next_source_ % spec_.sources.size()];
    next_source_ += spec_.threads();
    if (!bind_source(connection.fd, source)) {
      fail(connection, ErrorClass::connect, error_text("bind"), now);
      return;
    }
  }
  if (::connect(connection.fd, reinterpret_cast<const sockaddr*>(&server), spec_.endpoint.length) !=
          0 &&
      errno != EINPROGRESS) {
    fail(connection, ErrorClass::connect, error_text("connect"), now);
    return;
  }
  connection.state = State::connecting;
}

// Whether the connection is made, now that its socket has something to say. If not, it has failed.
bool Worker::connected(Connection& connection) {
  int error = 0;
  socklen_t size = sizeof(error);
  getsockopt(connection.fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) {
    errno = error;
    fail(connection, ErrorClass::connect, error_text("connect"), now_ns());
    return false;
  }
  connection.state = State::open;
  return true;
}

// Gives the connection, which has room for it, one more request, for flush() to send.
void Worker::ask(Connection& connection, std::int64_t intended, bool waited) {
  const std::uint32_t picked = pick_.next();
  slot(connection, connection.in_flight) = {intended, 0, picked, waited};
  ++connection.in_flight;
  ++outstanding_;
  const Request& request = spec_.requests[picked];
  connection.last = ++connection.sent == spec_.requests_per_connection;
  asked_.push_back(connection.last ? &request.close : &request.keep);
}

// Sends what was asked, and what the socket did not take before, as far as it takes it now.
void Worker::flush(Connection& connection, std::int64_t now) {
  if (connection.state == State::closed) {
    open(connection, now);
    if (connection.state == State::closed) {
      return;
    }
    now = now_ns();
  }
  std::string_view bytes;
  if (asked_.size() == 1 && connection.unsent.empty()) {
    bytes = *asked_.front();
  } else {
    for (const std::string* request : asked_) {
      connection.unsent += *request;
    }
    bytes = connection.unsent;
  }
  asked_.clear();
  if (bytes.empty()) {
    return;
  }
  const ssize_t sent = send(connection.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) {
    const bool connecting = connection.state == State::connecting;
    fail(connection, connecting ? ErrorClass::connect : ErrorClass::write,
         error_text(connecting ? "connect" : "send"), now);
    return;
  }
  if (sent >= 0) {
    connection.state = State::open;  // over loopback the handshake is done within connect()
    mark_sent(connection, now);
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  if (bytes.data() != connection.unsent.data() || bytes.empty()) {
    connection.unsent.assign(bytes);  // does nothing when nothing is left
  }
  enroll(connection, !connection.unsent.empty());
}

void Worker::mark_sent(Connection& connection, std::int64_t now) {
  for (std::uint32_t i = connection.in_flight; i > 0; --i) {
    InFlight& request = slot(connection, i - 1);
    if (request.sent != 0) {
      return;
    }
    request.sent = now;
    result_.recorder.sent(request.intended, now, request.waited);
  }
}

// Edge-triggered, so that it is done once for a connection; for writing only where it is needed,
// since that costs an event of its own.
void Worker::enroll(Connection& connection, bool for_writing) {
  if (!connection.registered || (for_writing && !connection.armed)) {
    watch(connection, for_writing);
  }
}

// What is there already is an event, too.
void Worker::watch(Connection& connection, bool for_writing) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLRDHUP | EPOLLET | (for_writing ? EPOLLOUT : 0U);
  event.data.u64 = std::uint64_t{connection.generation} << 32U | index_of(connection);
  epoll_ctl(epoll_, connection.registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, connection.fd, &event);
  connection.registered = true;
  connection.armed = for_writing;
}

void Worker::readable(Connection& connection, bool hung_up) {
  const std::uint32_t generation = connection.generation;
  for (int reads = 0; reads < most_reads; ++reads) {
    const ssize_t size = recv(connection.fd, buffer_.get(), buffer_size, 0);
    const std::int64_t now = now_ns();
    if (size < 0) {
      if (errno != EAGAIN) {
        fail(connection, ErrorClass::read, error_text("recv"), now);
      }
      return;
    }
    if (size == 0) {
      ended(connection, now);
      return;
    }
    const auto bytes = static_cast<std::size_t>(size);
    result_.bytes_received += bytes;
    consume(connection, {buffer_.get(), bytes}, now);
    // A short read has emptied the socket: the next bytes are an event of their own.
    if (connection.generation != generation || (bytes < buffer_size && !hung_up)) {
      return;
    }
  }
  watch(connection, connection.armed);  // the rest in another turn: others have something, too
}

// Takes bytes of answers; then asks anew, all at once for all answers that were among them.
void Worker::consume(Connection& connection, std::string_view bytes, std::int64_t now) {
  const std::uint32_t before = connection.in_flight;
  while (!bytes.empty()) {
    if (connection.in_flight == 0) {
      if (!tells_idle_timeout(bytes)) {
        result_.recorder.stray("bytes that no request had asked for", now);
      }
      connection.lost = true;
      if (before == 0) {
        connection.close();
        return;
      }
      connection.last = true;
      break;
    }
    if (connection.first_byte == 0) {
      connection.first_byte = now;
      mark_sent(connection, now);  // an answer that came before its request was sent
      if (take_known(connection, bytes, now)) {
        continue;
      }
      connection.reader.begin(spec_.requests[slot(connection, 0).request].head);
    }
    const bool whole = connection.reader.untouched();
    const AnswerReader::Progress progress = connection.reader.read(bytes);
    if (progress.state == AnswerReader::State::broken) {
      fail(connection, ErrorClass::protocol, connection.reader.error(), now);
      return;
    }
    if (progress.state == AnswerReader::State::complete) {
      const AnswerReader& answer = connection.reader;
      const bool wrong = is_wrong(answer);
      if (whole && progress.used <= largest_known_answer) {
        KnownAnswer& known = known_[slot(connection, 0).request];
        known.bytes.assign(bytes.substr(0, progress.used));
        known.status = answer.status();
        known.wrong = wrong;
        known.keep_alive = answer.keep_alive();
      }
      connection.last = connection.last || !answer.keep_alive();
      finish(connection, answer.status(), wrong, now);
    }
    bytes.remove_prefix(progress.used);
  }
  if (connection.in_flight < before) {
    rest(connection, now);
  }
}

// Whether the bytes begin with the answer that the last request of this kind got.
bool Worker::take_known(Connection& connection, std::string_view& bytes, std::int64_t now) {
  const KnownAnswer& known = known_[slot(connection, 0).request];
  if (known.bytes.empty() || !bytes.starts_with(known.bytes)) {
    return false;
  }
  bytes.remove_prefix(known.bytes.size());
  connection.last = connection.last || !known.keep_alive;
  finish(connection, known.status, known.wrong, now);
  return true;
}

bool Worker::is_wrong(const AnswerReader& answer) const {
  const Expectation& expect = spec_.expect;
  const bool status = expect.status ? answer.status() == *expect.status : answer.status() < 400;
  return !status || (expect.body_bytes && answer.body_bytes() != *expect.body_bytes);
}

// The oldest request on the connection has its answer.
void Worker::finish(Connection& connection, unsigned status, bool wrong, std::int64_t now) {
  const InFlight& request = slot(connection, 0);
  result_.recorder.answered(
      {request.intended, request.sent, connection.first_byte, now, status, wrong});
  connection.first = (connection.first + 1) % spec_.pipeline;
  connection.first_byte = 0;
  connection.failures = 0;
  --connection.in_flight;
  --outstanding_;
}

// The server has closed its side.
void Worker::ended(Connection& connection, std::int64_t now) {
  if (connection.in_flight == 0) {
    // At rest it is known to be free, or to wake later: then it goes on with a new socket.
    connection.lost = true;
    connection.close();
    return;
  }
  if (connection.first_byte == 0) {
    fail(connection, ErrorClass::read, "closed without an answer", now);
    return;
  }
  if (connection.reader.end() == AnswerReader::State::complete) {
    finish(connection, connection.reader.status(), is_wrong(connection.reader), now);
    connection.last = true;
    rest(connection, now);
    return;
  }
  fail(connection, ErrorClass::protocol, connection.reader.error(), now);
}

// After an answer: the connection is closed if that was its last, and asks again at once or after
// a while.
void Worker::rest(Connection& connection, std::int64_t now) {
  if (connection.last) {
    const bool more_to_come = connection.sent == spec_.requests_per_connection;
    if (connection.in_flight > 0) {
      if (!more_to_come) {  // the server closes it, and what was asked behind has no answer
        fail(connection, ErrorClass::read, "closed by the server behind an earlier answer", now);
      }
      return;
    }
    connection.lost = connection.lost || !more_to_come;
    connection.close();
  }
  if (spec_.think_time > nanoseconds::zero()) {
    wakes_.push({now + spec_.think_time.count(), index_of(connection)});
  } else {
    free(connection, now);
  }
}

// Every request on the connection has failed. It is tried again after a pause.
void Worker::fail(Connection& connection, ErrorClass error, std::string_view what,
                  std::int64_t now) {
  asked_.clear();
  mark_sent(connection, now);
  for (std::uint32_t i = 0; i < connection.in_flight; ++i) {
    result_.recorder.failed(error, what, slot(connection, i).intended, now);
  }
  outstanding_ -= connection.in_flight;
  connection.in_flight = 0;
  connection.lost = true;
  connection.close();
  connection.pausing = true;
  const std::uint32_t doublings = std::min(connection.failures++, most_doublings);
  wakes_.push({now + (first_pause_ns << doublings), index_of(connection)});
}

// The connection can take requests: in closed loop it asks at once, in open loop it takes what
// waits, or waits to be asked.
void Worker::free(Connection& connection, std::int64_t now) {
  if (arrivals_) {
    while (!backlog_.empty() && has_room(connection)) {
      ask(connection, backlog_.front(), /*waited=*/true);
      backlog_.pop_front();
    }
  } else if (now < end_) {
    while (has_room(connection)) {
      result_.recorder.due(now);
      ask(connection, now, /*waited=*/false);
    }
  }
  if (!asked_.empty()) {
    flush(connection, now);
  }
  if (arrivals_) {
    offer(connection);
  }
}

bool Worker::has_room(const Connection& connection) const {
  return !connection.last && !connection.pausing && connection.in_flight < spec_.pipeline;
}

// Puts the connection among the free ones, if it is one.
void Worker::offer(Connection& connection) {
  if (!connection.offered && has_room(connection)) {
    connection.offered = true;
    free_.push_back(index_of(connection));
  }
}

}  // namespace spawnpool::load
