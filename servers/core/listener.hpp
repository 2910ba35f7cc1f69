// The listening socket, with everything that connections inherit from it.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "servers/core/limits.hpp"
#include "servers/core/socket.hpp"

namespace spawnpool {

// An address or port that the user asked for and that cannot be had; what() is one line.
class ListenError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Owns a listening TCP socket. TCP_NODELAY, SO_RCVTIMEO and SO_SNDTIMEO are set here once: on Linux
// an accepted socket inherits them, which saves three system calls for each connection.
class Listener {
 public:
  // `address` is numeric, IPv4 or IPv6; port 0 takes a free one; `backlog` is the length of the
  // kernel's accept queue, bounded by net.core.somaxconn. Throws ListenError.
  // With `defer_accept` a connection is in that queue only once its first bytes have arrived
  // (TCP_DEFER_ACCEPT); a silent one comes there after about limits.header_timeout.
  Listener(const std::string& address, std::uint16_t port, int backlog, const Limits& limits,
           bool defer_accept = false);

  int fd() const { return socket_.fd(); }
  std::uint16_t port() const { return port_; }  // the real one

  // Lets no further client in: the kernel drops what would begin a connection, and the accept queue
  // keeps what it has. Without it, clients that come between the last accept and close() would be
  // let in by the kernel and then reset, and under load there would be no last accept.
  void admit_no_more();

  void close() { socket_.close(); }

 private:
  Socket socket_;
  std::uint16_t port_ = 0;
};

}  // namespace spawnpool
