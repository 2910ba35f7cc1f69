// answerer: answers every request with the same bytes, as cheaply as an event-driven server can:
// one thread, epoll edge-triggered, one read for what has come and one write for all its answers.
// No request is looked at beyond where it ends. It shows the ceiling of a load generator.
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <system_error>
#include <unordered_map>

#include "harness/load/bench/heads.hpp"
#include "harness/load/bench/local_server.hpp"
#include "servers/cli/cli.hpp"

namespace spawnpool::load::bench {
namespace {

constexpr std::string_view name = "spawnpool-answerer";
constexpr std::string_view answer =
    "HTTP/1.1 200 OK\r\n"
    "Server: answerer\r\n"
    "Content-Type: text/plain\r\n"
    "Connection: keep-alive\r\n"
    "Content-Length: 13\r\n"
    "\r\n"
    "Hello, World!";
constexpr std::size_t batch = 64;  // answers in one write

struct Options {
  std::uint16_t port = 0;
  bool busy_poll = false;
};

struct Connection {
  int fd = -1;
  HeadCounter heads;
  std::size_t owed = 0;  // bytes of answers the socket has not taken yet
};

class Answerer {
 public:
  Answerer(int listener, int termination, bool busy_poll)
      : listener_(listener),
        termination_(termination),
        patience_(busy_poll ? 0 : -1),
        epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    for (std::size_t i = 0; i < batch; ++i) {
      answers_ += answer;
    }
    watch(listener_, &listener_, EPOLLIN);
    watch(termination_, &termination_, EPOLLIN);
  }

  void run() {
    std::array<epoll_event, 512> events{};
    for (;;) {
      const int ready = epoll_wait(epoll_, events.data(), events.size(), patience_);
      for (int i = 0; i < ready; ++i) {
        void* const source = events[static_cast<std::size_t>(i)].data.ptr;
        if (source == &termination_) {
          return;
        }
        if (source == &listener_) {
          accept_all();
        } else {
          const bool ended = (events[static_cast<std::size_t>(i)].events & closing) != 0;
          serve(*static_cast<Connection*>(source), ended);
        }
      }
    }
  }

  Json counters() const {
    return {{"connections", accepted_}, {"requests", requests_}, {"answers", answered_}};
  }

 private:
  static constexpr std::uint32_t closing = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

  void watch(int fd, void* source, std::uint32_t events) const {
    epoll_event event{};
    event.events = events;
    event.data.ptr = source;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) {
      throw std::system_error(errno, std::generic_category(), "epoll_ctl");
    }
  }

  void accept_all() {
    for (;;) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) {
        return;  // none left; out of descriptors is the limit of this machine, and told by clients
      }
      ++accepted_;
      auto connection = std::make_unique<Connection>();
      connection->fd = fd;
      watch(fd, connection.get(), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
      connections_.emplace(fd, std::move(connection));
    }
  }

  // `ended`: the stream's end is there to be read, which gives no further edge.
  void serve(Connection& connection, bool ended) {
    bool open = connection.owed == 0 || pay(connection);
    while (open) {
      const ssize_t size = recv(connection.fd, buffer_.data(), buffer_.size(), 0);
      if (size <= 0) {
        open = size < 0 && (errno == EAGAIN || errno == EINTR);
        break;
      }
      const auto count = static_cast<std::size_t>(size);
      const std::size_t heads = connection.heads.feed({buffer_.data(), count});
      requests_ += heads;
      connection.owed += heads * answer.size();
      open = pay(connection);
      if (count < buffer_.size() && !ended) {
        break;  // all that has come was read; what comes next is an edge of its own
      }
    }
    if (!open) {
      close(connection.fd);
      connections_.erase(connection.fd);
    }
  }

  // Writes what is owed, as far as the socket takes it. Returns false when the connection is gone.
  bool pay(Connection& connection) {
    while (connection.owed > 0) {
      // Where in an answer the stream stands follows from what is left.
      const std::size_t begin = (answer.size() - connection.owed % answer.size()) % answer.size();
      const std::size_t size = std::min(connection.owed, answers_.size() - begin);
      const ssize_t sent = send(connection.fd, answers_.data() + begin, size, MSG_NOSIGNAL);
      if (sent < 0) {
        return errno == EAGAIN || errno == EINTR;
      }
      const std::size_t before = whole(connection.owed);
      connection.owed -= static_cast<std::size_t>(sent);
      answered_ += before - whole(connection.owed);
    }
    return true;
  }

  static std::size_t whole(std::size_t owed) { return (owed + answer.size() - 1) / answer.size(); }

  int listener_;
  int termination_;
  int patience_;
  int epoll_;
  std::string answers_;
  std::array<char, 64 * 1024> buffer_{};
  std::unordered_map<int, std::unique_ptr<Connection>> connections_;
  std::uint64_t accepted_ = 0;
  std::uint64_t requests_ = 0;
  std::uint64_t answered_ = 0;
};

int run(Options& options) {
  const int termination = termination_descriptor();
  const int listener = listen_on_loopback(options.port);
  const auto answerer = std::make_unique<Answerer>(listener, termination, options.busy_poll);
  print_ready(name, options.port);
  answerer->run();
  print_exit(name, answerer->counters());
  return cli::exit_ok;
}

}  // namespace
}  // namespace spawnpool::load::bench

int main(int argc, char** argv) {
  using namespace spawnpool::load::bench;
  return spawnpool::cli::run_main(name, [&] {
    Options options;
    CLI::App app("Answers every request with the same bytes: the ceiling of a load generator",
                 std::string(name));
    app.add_option("--port", options.port, "Port on 127.0.0.1; 0 takes a free one");
    app.add_flag("--busy-poll", options.busy_poll,
                 "Never sleep: on a core of its own, clients need not wake it");
    const auto status = spawnpool::cli::parse(app, argc, argv);
    return status ? *status : run(options);
  });
}
