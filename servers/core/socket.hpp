// An accepted socket and who is at its other end.
#pragma once

#include <sys/socket.h>

#include <array>
#include <utility>

namespace spawnpool {

// A peer's address, IPv4 as IPv4-mapped IPv6. All zero where nobody asked for it.
using PeerAddress = std::array<unsigned char, 16>;

PeerAddress peer_address(const sockaddr_storage& address);

// Owns a connected socket; closes it when destroyed.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd, PeerAddress peer = {}) : fd_(fd), peer_(peer) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)), peer_(other.peer_) {}
  Socket& operator=(Socket&& other) noexcept {
    if (this != &other) {
      close();
      fd_ = std::exchange(other.fd_, -1);
      peer_ = other.peer_;
    }
    return *this;
  }
  ~Socket() { close(); }

  int fd() const { return fd_; }
  const PeerAddress& peer() const { return peer_; }
  explicit operator bool() const { return fd_ >= 0; }
  void close();

 private:
  int fd_ = -1;
  PeerAddress peer_{};
};

}  // namespace spawnpool
