#include "harness/load/bench/local_server.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): pthread_sigmask of POSIX
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <iostream>
#include <system_error>

namespace spawnpool::load::bench {
namespace {

// Bounded by net.core.somaxconn: as many clients as there may be come at once.
constexpr int backlog = 65535;

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

// As many descriptors as there may be: a client opens connections by the ten thousand.
void raise_descriptor_limit() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
}

}  // namespace

int listen_on_loopback(std::uint16_t& port) {
  raise_descriptor_limit();
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) {
    fail("socket");
  }
  const int on = 1;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  socklen_t size = sizeof(address);
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||  // accepted ones inherit it
      bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(fd, backlog) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    fail("cannot listen on 127.0.0.1; give another --port");
  }
  port = ntohs(address.sin_port);
  return fd;
}

int termination_descriptor() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const int fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
  if (fd < 0) {
    fail("signalfd");
  }
  return fd;
}

void print_ready(std::string_view server, std::uint16_t port) {
  const Json line = {{"event", "ready"},
                     {"server", server},
                     {"address", "127.0.0.1"},
                     {"port", port},
                     {"pid", getpid()}};
  std::cout << line.dump() << std::endl;
}

void print_exit(std::string_view server, const Json& counters, const Json& more) {
  Json line = {{"event", "exit"}, {"server", server}, {"counters", counters}};
  line.update(more);
  std::cout << line.dump() << std::endl;
}

std::int64_t now_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace spawnpool::load::bench
