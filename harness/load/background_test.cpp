// Slow clients against a peer that takes and gives all it can, by a clock that the test turns.
#include "harness/load/background.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>

#include "harness/load/bench/local_server.hpp"
#include "harness/load/preflight.hpp"
#include "harness/load/request_bytes.hpp"

namespace spawnpool::load {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t tick_ns = nanoseconds(10ms).count();

class BackgroundTest : public ::testing::TestWithParam<unsigned> {
 protected:
  BackgroundTest() : listener_(bench::listen_on_loopback(port_)) {
    const Url url = parse_url("http://127.0.0.1:" + std::to_string(port_));
    spec_.endpoint = resolve(url);
    spec_.requests = {make_request(url, {"POST", {}, std::string(4'000'000, 'x')})};
    spec_.background.bytes_per_second = GetParam();
  }
  ~BackgroundTest() override {
    close(peer_);
    close(listener_);
  }

  void accept_client() {
    pollfd polled{listener_, POLLIN, 0};
    ASSERT_EQ(poll(&polled, 1, 40'000), 1);
    peer_ = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    ASSERT_GE(peer_, 0);
  }

  // Bytes that came from the client since.
  std::size_t take() {
    std::size_t taken = 0;
    ssize_t size = 0;
    while ((size = recv(peer_, buffer_.data(), buffer_.size(), 0)) > 0) {
      taken += static_cast<std::size_t>(size);
    }
    return taken;
  }

  // Gives the client as much of the bytes as there is room for, and takes that away from them.
  void give(std::string& bytes) {
    ssize_t size = 0;
    while (!bytes.empty() && (size = send(peer_, bytes.data(), bytes.size(), MSG_NOSIGNAL)) > 0) {
      bytes.erase(0, static_cast<std::size_t>(size));
    }
  }

  std::uint16_t port_ = 0;
  int listener_;
  int peer_ = -1;
  LoadSpec spec_;
  std::array<char, 64 * 1024> buffer_{};
};

// What two steps hold, which is what a client may move at once.
double burst(unsigned rate) {
  return std::max(2.0, 0.2 * rate);
}

TEST_P(BackgroundTest, SendsAsManyBytesPerSecondAsTold) {
  const unsigned rate = GetParam();
  spec_.background.slow_senders = 1;
  BackgroundClients clients(spec_);
  clients.tick(0);
  accept_client();
  std::size_t taken = 0;
  constexpr int seconds = 3;
  for (std::int64_t now = 0; now <= seconds * nanoseconds(1s).count(); now += tick_ns) {
    clients.tick(now);
    taken += take();
    ASSERT_LE(static_cast<double>(taken), rate * 1e-9 * static_cast<double>(now) + burst(rate));
  }
  // What the kernel has under way still.
  const auto least = static_cast<std::size_t>(seconds * rate - burst(rate));
  pollfd polled{peer_, POLLIN, 0};
  while (taken < least && poll(&polled, 1, 40'000) == 1) {
    taken += take();
  }
  EXPECT_GE(taken, least);
}

TEST_P(BackgroundTest, ReadsAsManyBytesPerSecondAsTold) {
  const unsigned rate = GetParam();
  const std::string body(std::max(60U, rate / 5), 'x');
  const std::string answer =
      "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  spec_.background.slow_readers = 1;
  spec_.requests = {make_request(parse_url("http://127.0.0.1"), {"GET", {}, ""})};
  BackgroundClients clients(spec_);
  clients.tick(0);
  accept_client();
  const std::size_t request = spec_.requests.front().keep.size();
  std::size_t taken = 0;
  std::uint64_t given = 0;
  std::string unsent;
  constexpr int seconds = 30;
  const auto read = [&] {
    return static_cast<double>(clients.counts().slow_readers.answers * answer.size());
  };
  for (std::int64_t now = 0; now <= seconds * nanoseconds(1s).count(); now += tick_ns) {
    clients.tick(now);
    ASSERT_LE(read(), rate * 1e-9 * static_cast<double>(now) + burst(rate));
    for (taken += take(); given < taken / request; ++given) {
      unsent += answer;
    }
    give(unsent);
  }
  // It waits for each answer to begin, and for the kernel.
  EXPECT_GE(read(), 0.6 * seconds * rate);
}

INSTANTIATE_TEST_SUITE_P(Rates, BackgroundTest, ::testing::Values(50, 1000, 500'000, 1'000'000));

}  // namespace
}  // namespace spawnpool::load
