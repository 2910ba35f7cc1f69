// One connection of the generator: plain state, a few hundred bytes each.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <string>
#include <utility>

#include "harness/load/answer_reader.hpp"

namespace spawnpool::load {

// A request under way. Times in nanoseconds of Clock.
struct InFlight {
  std::int64_t intended = 0;
  std::int64_t sent = 0;  // 0: not yet, the connection is being made
  std::uint32_t request = 0;
  bool waited = false;  // it found no connection free
};

struct ClientConnection {
  enum class State : std::uint8_t { closed, connecting, open };

  ClientConnection() = default;
  ClientConnection(const ClientConnection&) = delete;
  ClientConnection& operator=(const ClientConnection&) = delete;
  ~ClientConnection() { close(); }

  void close() {
    if (fd >= 0) {
      ::close(std::exchange(fd, -1));
    }
    state = State::closed;
    last = false;
    registered = armed = false;
    sent = 0;
    first_byte = 0;
    unsent.clear();
    ++generation;  // events of the old socket that are still to be looked at are not for the new
  }

  int fd = -1;
  State state = State::closed;
  bool offered = false;     // open loop: it is among the free ones
  bool pausing = false;     // after a failure
  bool lost = false;        // the last socket failed, or the server closed it
  bool last = false;        // takes no further request: it is closed when its answers are in
  bool registered = false;  // with epoll
  bool armed = false;       // for writing as well
  std::uint32_t generation = 0;
  std::uint32_t first = 0;      // where the oldest request is in the ring of those under way
  std::uint32_t in_flight = 0;  // how many are under way
  std::uint32_t failures = 0;   // in a row
  std::uint64_t sent = 0;       // requests that this socket was given
  std::int64_t connecting_since = 0;
  std::int64_t first_byte = 0;  // when the answer that is being read began; 0: it did not
  std::string unsent;           // bytes that the socket did not take yet
  AnswerReader reader;
};

}  // namespace spawnpool::load
