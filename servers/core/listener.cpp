#include "servers/core/listener.hpp"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <system_error>

namespace spawnpool {
namespace {

timeval to_timeval(std::chrono::nanoseconds duration) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration);
  const auto rest = std::chrono::ceil<std::chrono::microseconds>(duration - seconds);
  return {seconds.count(), static_cast<suseconds_t>(std::min<long>(rest.count(), 999'999))};
}

}  // namespace

Listener::Listener(const std::string& address, std::uint16_t port, int backlog,
                   const Limits& limits, bool defer_accept) {
  const std::string where = address + " port " + std::to_string(port);
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) {
    throw ListenError("cannot listen on '" + address +
                      "': not a numeric IPv4 or IPv6 address (such as 127.0.0.1 or ::1)");
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> guard(found, freeaddrinfo);
  const auto fail = [&](std::string_view mend) {
    const std::string why = std::generic_category().message(errno);
    throw ListenError("cannot listen on " + where + ": " + why + std::string(mend));
  };

  socket_ = Socket(socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket_) {
    fail("");
  }
  const int on = 1;
  const timeval receive = to_timeval(std::min(limits.header_timeout, limits.idle_timeout));
  const timeval write = to_timeval(limits.write_timeout);
  if (setsockopt(fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
      setsockopt(fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
      setsockopt(fd(), SOL_SOCKET, SO_RCVTIMEO, &receive, sizeof(receive)) != 0 ||
      setsockopt(fd(), SOL_SOCKET, SO_SNDTIMEO, &write, sizeof(write)) != 0) {
    fail("");
  }
  if (defer_accept) {
    const auto patience = std::chrono::ceil<std::chrono::seconds>(limits.header_timeout);
    const int seconds = static_cast<int>(patience.count());
    if (setsockopt(fd(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds)) != 0) {
      fail("");
    }
  }
  if (bind(fd(), found->ai_addr, found->ai_addrlen) != 0 || listen(fd(), backlog) != 0) {
    fail(errno == EADDRINUSE ? "; give another --port, or --port 0 for a free one"
         : errno == EACCES   ? "; give a --port of 1024 or above"
                             : "; give an --address of this machine");
  }
  sockaddr_storage bound{};
  socklen_t length = sizeof(bound);
  if (getsockname(fd(), reinterpret_cast<sockaddr*>(&bound), &length) != 0) {
    fail("");
  }
  port_ = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(bound).sin6_port
                                            : reinterpret_cast<const sockaddr_in&>(bound).sin_port);
}

void Listener::admit_no_more() {
  // Drops segments with SYN. Others pass, so that handshakes under way are completed.
  constexpr std::uint32_t flags_offset = 13;  // in the TCP header (RFC 9293, 3.1)
  constexpr std::uint32_t syn = 0x02;
  constexpr std::uint32_t whole = 0xFFFFFFFF;
  std::array<sock_filter, 4> drop_syn = {
      sock_filter BPF_STMT(BPF_LD | BPF_B | BPF_ABS, flags_offset),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, syn, 0, 1),
      sock_filter BPF_STMT(BPF_RET | BPF_K, 0),
      sock_filter BPF_STMT(BPF_RET | BPF_K, whole),
  };
  const sock_fprog program{drop_syn.size(), drop_syn.data()};
  // Where the kernel does not take it, clients are let in until close(), and some of them in vain.
  setsockopt(fd(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

}  // namespace spawnpool
