#include "servers/testing/connection_runner.hpp"

#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <cerrno>
#include <numeric>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace spawnpool::testing {

std::string ConnectionRun::bytes() const {
  return std::accumulate(writes.begin(), writes.end(), std::string());
}

ConnectionRunner::ConnectionRunner(Router router, const Limits& limits, MemoryPolicy memory)
    : router_(std::move(router)), limits_(limits), policy_(memory), packet_(256 * 1024) {}

ConnectionRunner::ConnectionRunner(Router router, const Limits& limits, const MakeModel& make_model)
    : router_(std::move(router)),
      limits_(limits),
      policy_(MemoryPolicy::fresh),
      model_(make_model(state_)),
      packet_(256 * 1024) {}

void ConnectionRunner::serve(Socket socket) {
  // Runs follow each other faster than the closing thread may come to run: never more sockets for
  // it than it takes. The state's reference stays good, the new one is in the old one's place.
  if (++runs_ % (LingeringClose::capacity / 2) == 0) {
    if (model_ != nullptr) {
      model_->stop();  // nobody is closing any more
    }
    lingering_close_.emplace();
    if (model_ != nullptr) {
      model_->start();
    }
  }
  registry_.admit();
  if (model_ != nullptr) {
    if (model_->dispatch(socket) != Dispatch::taken) {
      throw std::runtime_error("the model did not take the connection");
    }
    return;
  }
  if (memory_ == nullptr || policy_ == MemoryPolicy::fresh) {
    memory_ = std::make_unique<ConnectionMemory>(limits_, policy_, stop_);
  }
  Connection(std::move(socket), state_, *memory_).serve();
}

ConnectionRun ConnectionRunner::run(const std::vector<std::string_view>& parts) {
  const auto check = [](bool done, const char* what) {
    if (!done) {
      throw std::system_error(errno, std::generic_category(), what);
    }
  };
  std::array<int, 2> ends{};
  check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0, "socketpair");
  const Socket client(ends[0]);
  Socket server(ends[1]);
  // Answers that the buffer cannot hold fail the test instead of hanging it.
  const timeval bound{10, 0};
  check(setsockopt(server.fd(), SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof(bound)) == 0, "SNDTIMEO");
  check(setsockopt(client.fd(), SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof(bound)) == 0, "RCVTIMEO");
  for (const std::string_view part : parts) {
    if (!part.empty()) {
      check(send(client.fd(), part.data(), part.size(), MSG_DONTWAIT | MSG_NOSIGNAL) ==
                static_cast<ssize_t>(part.size()),
            "send");
    }
  }
  check(shutdown(client.fd(), SHUT_WR) == 0, "shutdown");

  serve(std::move(server));

  ConnectionRun result;
  for (;;) {
    const ssize_t n = recv(client.fd(), packet_.data(), packet_.size(), 0);
    if (n > 0) {
      result.writes.emplace_back(packet_.data(), static_cast<std::size_t>(n));
    } else if (n < 0 && errno == ECONNRESET) {
      result.reset = true;  // told once, before what was sent
    } else {
      check(n == 0, "recv");
      return result;
    }
  }
}

}  // namespace spawnpool::testing
