// A client that sends bytes and keeps what comes back.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "servers/core/socket.hpp"

namespace spawnpool::testing {

// One connection to 127.0.0.1. Every wait ends after 40 s at most, with std::runtime_error.
class RawClient {
 public:
  // `receive_buffer`: bytes of the socket's receive buffer, 0 for the kernel's choice.
  explicit RawClient(std::uint16_t port, int receive_buffer = 0);

  int fd() const { return socket_.fd(); }

  // Sends all of it, unless the peer is gone.
  void send(std::string_view bytes);
  void finish_sending();

  // Waits at most `milliseconds` for something to receive, or the end.
  bool readable_within(int milliseconds) const;

  // What comes until the server ends the connection.
  std::string receive_all();

  // Receives until there are `size` bytes.
  std::string receive(std::size_t size);

  // The server has reset the connection instead of closing it.
  bool was_reset() const { return was_reset_; }

 private:
  Socket socket_;
  bool was_reset_ = false;
};

}  // namespace spawnpool::testing
