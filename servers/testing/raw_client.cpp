#include "servers/testing/raw_client.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/time.h>

#include <array>
#include <cerrno>
#include <stdexcept>
#include <system_error>

namespace spawnpool::testing {
namespace {

void must(bool done, const char* what) {
  if (!done) {
    throw std::system_error(errno, std::generic_category(), what);
  }
}

}  // namespace

RawClient::RawClient(std::uint16_t port, int receive_buffer)
    : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const timeval bound{40, 0};
  const int on = 1;
  must(setsockopt(fd(), SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof(bound)) == 0 &&
           setsockopt(fd(), SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof(bound)) == 0 &&
           setsockopt(fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0,
       "setsockopt");
  if (receive_buffer != 0) {
    must(setsockopt(fd(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer)) == 0,
         "SO_RCVBUF");
  }
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  must(connect(fd(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0, "connect");
}

void RawClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
      was_reset_ = true;
      return;
    }
    must(n > 0, "send");
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

void RawClient::finish_sending() {
  must(shutdown(fd(), SHUT_WR) == 0, "shutdown");
}

bool RawClient::readable_within(int milliseconds) const {
  pollfd polled{fd(), POLLIN, 0};
  return poll(&polled, 1, milliseconds) == 1;
}

std::string RawClient::receive_all() {
  std::string result;
  std::array<char, 64 * 1024> part;
  for (;;) {
    const ssize_t n = recv(fd(), part.data(), part.size(), 0);
    if (n < 0 && errno == ECONNRESET) {
      was_reset_ = true;
      return result;
    }
    must(n >= 0, "recv");
    if (n == 0) {
      return result;
    }
    result.append(part.data(), static_cast<std::size_t>(n));
  }
}

std::string RawClient::receive(std::size_t size) {
  std::string result(size, '\0');
  const ssize_t n = recv(fd(), result.data(), size, MSG_WAITALL);
  must(n >= 0, "recv");
  result.resize(static_cast<std::size_t>(n));
  return result;
}

}  // namespace spawnpool::testing
