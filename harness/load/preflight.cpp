#include "harness/load/preflight.hpp"

#include <netdb.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>

#include "servers/cli/cli.hpp"

namespace spawnpool::load {
namespace {

// Standard streams, epoll, and what libraries open.
constexpr rlim_t other_descriptors = 32;

}  // namespace

Endpoint resolve(const Url& url) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(url.host.c_str(), std::to_string(url.port).c_str(), &hints, &found);
  if (error != 0) {
    throw cli::UsageError("cannot find the host '" + url.host + "': " + gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> guard(found, freeaddrinfo);
  Endpoint endpoint;
  std::memcpy(&endpoint.address, found->ai_addr, found->ai_addrlen);
  endpoint.length = found->ai_addrlen;
  endpoint.text = url.host + " port " + std::to_string(url.port);
  return endpoint;
}

void check_limits(const LoadSpec& spec) {
  const std::uint64_t connections = std::uint64_t{spec.connections} + spec.background.total();
  const rlim_t needed = connections + other_descriptors;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < needed) {
    limit.rlim_cur = std::min(limit.rlim_max, needed);
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  if (limit.rlim_cur < needed) {
    throw cli::UsageError(std::to_string(connections) + " connections need " +
                          std::to_string(needed) + " descriptors, the limit is " +
                          std::to_string(limit.rlim_max) + "; raise it (ulimit -n) or lower " +
                          "--connections");
  }
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::ifstream range("/proc/sys/net/ipv4/ip_local_port_range");
  if (range >> first >> last) {
    const std::uint64_t sources = std::max<std::uint64_t>(spec.sources.size(), 1);
    if (connections > (last - first + 1) * sources) {
      throw cli::UsageError(
          std::to_string(connections) + " connections need more local ports than the " +
          std::to_string((last - first + 1) * sources) +
          " there are; widen net.ipv4.ip_local_port_range or give more --source-addresses");
    }
  }
}

void check_reachable(const LoadSpec& spec) {
  const int fd =
      socket(spec.endpoint.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int error = fd < 0 ? errno : 0;
  if (fd >= 0) {
    const auto* address = reinterpret_cast<const sockaddr*>(&spec.endpoint.address);
    if (::connect(fd, address, spec.endpoint.length) != 0) {
      error = errno;
      if (error == EINPROGRESS) {
        pollfd polled{fd, POLLOUT, 0};
        const auto patience = std::chrono::ceil<std::chrono::milliseconds>(spec.timeout).count();
        error = ETIMEDOUT;
        if (poll(&polled, 1, static_cast<int>(patience)) == 1) {
          socklen_t size = sizeof(error);
          getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
        }
      }
    }
    close(fd);
  }
  if (error != 0) {
    throw cli::UsageError("cannot connect to " + spec.endpoint.text + ": " +
                          strerrordesc_np(error) + "; is the server running?");
  }
}

}  // namespace spawnpool::load
