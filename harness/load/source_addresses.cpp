#include "harness/load/source_addresses.hpp"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <charconv>
#include <cstring>
#include <string>

#include "servers/cli/cli.hpp"

namespace spawnpool::load {
namespace {

// Enough for 28,000 ports each and 60 s of TIME_WAIT at 200,000 connections per second, sparsely
// enough that the kernel finds a free port at once.
constexpr unsigned default_count = 1024;
// Beside what a server can hold open on one address and port.
constexpr unsigned ports_per_address = 20'000;
constexpr unsigned most_host_bits = 16;

sockaddr_storage ipv4(std::uint32_t host_order) {
  sockaddr_storage storage{};
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(host_order);
  std::memcpy(&storage, &address, sizeof(address));
  return storage;
}

void add(std::string_view item, const Endpoint& endpoint, std::vector<sockaddr_storage>& all) {
  const auto refuse = [&](const std::string& why) {
    throw cli::UsageError("--source-addresses: '" + std::string(item) + "' " + why);
  };
  const std::size_t slash = std::min(item.find('/'), item.size());
  const std::string text(item.substr(0, slash));
  unsigned prefix = 32;
  const bool range = slash != item.size();
  if (range) {
    const char* const end = item.data() + item.size();
    const auto [rest, error] = std::from_chars(item.data() + slash + 1, end, prefix);
    if (error != std::errc{} || rest != end || prefix > 32 || prefix < 32 - most_host_bits) {
      refuse("is no range; give /16 to /32");
    }
  }
  in_addr v4{};
  in6_addr v6{};
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) {
    if (endpoint.address.ss_family != AF_INET) {
      refuse("is IPv4, the server is IPv6");
    }
    const std::uint32_t count = std::uint32_t{1} << (32 - prefix);
    const std::uint32_t first = ntohl(v4.s_addr) & ~(count - 1);
    for (std::uint32_t i = 0; i < count; ++i) {
      all.push_back(ipv4(first + i));
    }
  } else if (!range && inet_pton(AF_INET6, text.c_str(), &v6) == 1) {
    if (endpoint.address.ss_family != AF_INET6) {
      refuse("is IPv6, the server is IPv4");
    }
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_addr = v6;
    std::memcpy(&all.emplace_back(), &address, sizeof(address));
  } else {
    refuse("is no address; give 127.0.0.2, 127.1.0.0/24 or ::1");
  }
}

}  // namespace

std::vector<sockaddr_storage> parse_source_addresses(std::string_view text,
                                                     const Endpoint& endpoint) {
  std::vector<sockaddr_storage> all;
  for (;;) {
    const std::size_t comma = std::min(text.find(','), text.size());
    add(text.substr(0, comma), endpoint, all);
    if (comma == text.size()) {
      return all;
    }
    text.remove_prefix(comma + 1);
  }
}

std::vector<sockaddr_storage> default_source_addresses(const LoadSpec& spec) {
  sockaddr_in server{};
  std::memcpy(&server, &spec.endpoint.address, sizeof(server));
  constexpr std::uint32_t loopback = 127;
  if (server.sin_family != AF_INET || ntohl(server.sin_addr.s_addr) >> 24U != loopback) {
    return {};
  }
  const unsigned open = spec.connections + spec.background.total();
  const unsigned needed = spec.requests_per_connection > 0
                              ? default_count
                              : (open + ports_per_address - 1) / ports_per_address;
  std::vector<sockaddr_storage> all;
  constexpr std::uint32_t first = (loopback << 24U) + (1U << 16U) + 1;  // 127.1.0.1
  for (std::uint32_t i = 0; needed > 1 && i < needed; ++i) {
    all.push_back(ipv4(first + i));
  }
  return all;
}

bool bind_source(int fd, const sockaddr_storage& source) {
  const int on = 1;
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
  const socklen_t length = source.ss_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  return bind(fd, reinterpret_cast<const sockaddr*>(&source), length) == 0;
}

}  // namespace spawnpool::load
