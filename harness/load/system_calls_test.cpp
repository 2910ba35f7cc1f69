// What the generator asks of the kernel, counted where this process asks: the C library's functions
// are replaced by ones that count, by thread, and then do the same.
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "harness/load/preflight.hpp"
#include "harness/load/request_bytes.hpp"
#include "harness/load/run.hpp"
#include "servers/handlers.hpp"
#include "servers/server.hpp"

namespace {

// Of the thread of the generator, which is the one that changes its own set of events.
std::atomic<std::uint64_t> epoll_changes{0};
std::atomic<int> most_reads_in_a_turn{0};
thread_local bool generates = false;
thread_local int reads_in_this_turn = 0;

}  // namespace

extern "C" int epoll_ctl(int epoll, int operation, int fd, epoll_event* event) {
  generates = true;
  ++epoll_changes;
  return static_cast<int>(syscall(SYS_epoll_ctl, epoll, operation, fd, event));
}

extern "C" ssize_t recv(int fd, void* buffer, size_t size, int flags) {
  if (generates) {
    most_reads_in_a_turn = std::max(most_reads_in_a_turn.load(), ++reads_in_this_turn);
  }
  return syscall(SYS_recvfrom, fd, buffer, size, flags, nullptr, nullptr);
}

extern "C" int epoll_wait(int epoll, epoll_event* events, int most, int timeout) {
  reads_in_this_turn = 0;
  return static_cast<int>(syscall(SYS_epoll_wait, epoll, events, most, timeout));
}

namespace spawnpool::load {
namespace {

using namespace std::chrono_literals;

class SystemCallsTest : public ::testing::Test {
 protected:
  LoadSpec spec_{.connections = 4, .duration = 200ms, .timeout = 10s, .pacing = Pacing::busy_poll};
  std::atomic<bool> stop_{false};
};

TEST_F(SystemCallsTest, NothingButSendingAndReceivingIsAskedPerRequest) {
  Server server({.model = Model::worker_pool}, make_routes());
  const Url url = parse_url("http://127.0.0.1:" + std::to_string(server.port()) + "/plaintext");
  spec_.endpoint = resolve(url);
  spec_.requests = {make_request(url, {"GET", {}, ""})};
  LoadHooks hooks;
  std::uint64_t before = 0;
  std::uint64_t after = 0;
  hooks.window_begin = [&] { before = epoll_changes; };
  hooks.window_end = [&] { after = epoll_changes; };
  spec_.warmup = 50ms;
  const LoadOutcome outcome = run_load(spec_, stop_, hooks);
  EXPECT_GT(outcome.total.recorder.counts.answered, spec_.connections);
  EXPECT_GE(before, spec_.connections) << "they are counted";
  EXPECT_EQ(after, before);
}

// Sends a body without an end to each of its clients.
void serve_without_end(int listener) {
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n";
  const std::string body(1 << 20, 'x');
  std::vector<std::jthread> clients;
  for (int fd = 0; (fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
    clients.emplace_back([fd, &head, &body] {
      ssize_t sent = send(fd, head.data(), head.size(), MSG_NOSIGNAL);
      while (sent > 0) {
        sent = send(fd, body.data(), body.size(), MSG_NOSIGNAL);
      }
      close(fd);
    });
  }
}

TEST_F(SystemCallsTest, AnAnswerWithoutEndLetsOthersHaveTheirTurn) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener, 128), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  std::jthread server(serve_without_end, listener);
  const Url url = parse_url("http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/");
  spec_.endpoint = resolve(url);
  spec_.requests = {make_request(url, {"GET", {}, ""})};
  spec_.timeout = 100ms;
  const LoadOutcome outcome = run_load(spec_, stop_);
  shutdown(listener, SHUT_RDWR);  // ends accept4()
  server.join();
  close(listener);
  EXPECT_GE(outcome.total.recorder.errors[static_cast<std::size_t>(ErrorClass::timeout)],
            spec_.connections);
  // Of each connection 16, and one for whoever is asked when nothing came.
  EXPECT_GT(most_reads_in_a_turn, 0);
  EXPECT_LE(most_reads_in_a_turn, 16 * static_cast<int>(spec_.connections));
}

}  // namespace
}  // namespace spawnpool::load
