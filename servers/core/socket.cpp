#include "servers/core/socket.hpp"

#include <netinet/in.h>
#include <unistd.h>

#include <cstring>

namespace spawnpool {

PeerAddress peer_address(const sockaddr_storage& address) {
  PeerAddress result{};
  if (address.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof(v4));
    result[10] = result[11] = 0xFF;
    std::memcpy(result.data() + 12, &v4.sin_addr, 4);
  } else if (address.ss_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address, sizeof(v6));
    std::memcpy(result.data(), &v6.sin6_addr, 16);
  }
  return result;
}

void Socket::close() {
  if (fd_ >= 0) {
    ::close(std::exchange(fd_, -1));
  }
}

}  // namespace spawnpool
