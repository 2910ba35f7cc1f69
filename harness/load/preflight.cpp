#include "harness/load/preflight.hpp"

#include <netdb.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>

#include "harness/load/source_addresses.hpp"
#include "servers/cli/cli.hpp"

namespace spawnpool::load {
namespace {

// Standard streams, epoll, and what libraries open.
constexpr std::uint64_t other_descriptors = 32;

std::uint64_t connection_count(const LoadSpec& spec) {
  return std::uint64_t{spec.connections} + spec.background.total();
}

std::uint64_t needed_descriptors(const LoadSpec& spec) {
  return connection_count(spec) + other_descriptors;
}

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

Limits take_limits(const LoadSpec& spec) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const rlim_t needed = needed_descriptors(spec);
  if (limit.rlim_cur < needed) {
    limit.rlim_cur = std::min(limit.rlim_max, needed);
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
  }
  Limits limits{.descriptors = limit.rlim_cur};
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::ifstream range("/proc/sys/net/ipv4/ip_local_port_range");
  if (range >> first >> last) {
    limits.ports = last - first + 1;
  }
  return limits;
}

void check_limits(const LoadSpec& spec, const Limits& limits) {
  const std::string connections = std::to_string(connection_count(spec)) + " connections need ";
  const std::uint64_t needed = needed_descriptors(spec);
  if (limits.descriptors < needed) {
    throw cli::UsageError(connections + std::to_string(needed) + " descriptors, the limit is " +
                          std::to_string(limits.descriptors) +
                          "; raise it (ulimit -n) or lower --connections");
  }
  const std::uint64_t sources = std::max<std::uint64_t>(spec.sources.size(), 1);
  if (limits.ports && connection_count(spec) > *limits.ports * sources) {
    throw cli::UsageError(
        connections + "more local ports than the " + std::to_string(*limits.ports * sources) +
        " there are; widen net.ipv4.ip_local_port_range or give more --source-addresses");
  }
}

void check_sources(const LoadSpec& spec) {
  for (const sockaddr_storage& source : spec.sources) {
    const int fd = socket(source.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int error = fd >= 0 && bind_source(fd, source) ? 0 : errno;
    close(fd);
    if (error != 0) {
      std::array<char, NI_MAXHOST> text{};
      getnameinfo(reinterpret_cast<const sockaddr*>(&source), sizeof(source), text.data(),
                  text.size(), nullptr, 0, NI_NUMERICHOST);
      throw cli::UsageError("--source-addresses: cannot connect from " + std::string(text.data()) +
                            ": " + strerrordesc_np(error) + "; give addresses of this machine");
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
