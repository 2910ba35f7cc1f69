// delay_server: answers every request a programmed time after its arrival, so that the distribution
// of latencies is known before a load generator measures it. Answers do not wait for one another,
// except that those of one connection go out in the order of their requests.
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <map>
#include <memory>
#include <queue>
#include <string>
#include <system_error>
#include <unordered_map>
#include <vector>

#include "harness/load/bench/heads.hpp"
#include "harness/load/bench/local_server.hpp"
#include "harness/load/testing/delays.hpp"
#include "servers/cli/cli.hpp"

namespace spawnpool::load::testing {
namespace {

using bench::Json;
using bench::now_ns;

constexpr std::string_view name = "spawnpool-delay-server";

struct Options {
  std::uint16_t port = 0;
  Delays::Options delays;
  Stalls stalls;
  std::size_t body_bytes = 13;
  bool busy_poll = false;
  std::string log;
};

// What became of a request. Times of CLOCK_MONOTONIC, ns; answered is 0 until it is.
struct Request {
  std::int64_t arrived;
  std::int64_t delay;
  std::int64_t due;
  std::int64_t answered;
};

struct Connection {
  int fd = -1;
  bench::HeadCounter heads;
  std::int64_t last_due = 0;
  std::string unsent;
  bool blocked = false;  // the socket takes no more for now
};

// An answer to come. Connections are named by number: theirs may be gone by then.
struct Planned {
  std::int64_t due;
  std::size_t request;
  std::uint64_t connection;

  friend bool operator>(const Planned& a, const Planned& b) {
    return a.due != b.due ? a.due > b.due : a.request > b.request;
  }
};

class DelayServer {
 public:
  DelayServer(const Options& options, int listener, int termination)
      : options_(options),
        delays_(options.delays),
        listener_(listener),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        answer_("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " +
                std::to_string(options.body_bytes) + "\r\n\r\n" +
                std::string(options.body_bytes, 'x')) {
    requests_.reserve(1U << 20U);  // growing would stop the server for as long as the copy takes
    watch(EPOLL_CTL_ADD, listener_, listener_number, EPOLLIN);
    watch(EPOLL_CTL_ADD, termination, termination_number, EPOLLIN);
  }

  void run() {
    options_.stalls.start_ns = now_ns();
    std::array<epoll_event, 256> events{};
    bool ended = false;
    while (!ended) {
      const int ready = wait(events);
      const std::int64_t now = now_ns();
      for (int i = 0; i < ready; ++i) {
        const std::uint64_t number = events[static_cast<std::size_t>(i)].data.u64;
        if (number == termination_number) {
          ended = true;
        } else if (number == listener_number) {
          accept_all();
        } else if (const auto found = connections_.find(number); found != connections_.end()) {
          serve(number, *found->second, now);
        }
      }
      answer_due();
    }
  }

  void report() const {
    std::vector<std::int64_t> delays;
    std::uint64_t answered = 0;
    for (const Request& request : requests_) {
      delays.push_back(request.delay);
      answered += request.answered != 0 ? 1 : 0;
    }
    std::sort(delays.begin(), delays.end());
    Json drawn = Json::object();
    for (const auto& [label, share] :
         {std::pair{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99_9", 0.999}, {"max", 1.0}}) {
      const double rank = std::ceil(share * static_cast<double>(delays.size()) - 1e-9);
      const auto index = static_cast<std::size_t>(std::max(rank, 1.0)) - 1;
      drawn[label] = delays.empty() ? Json() : Json(static_cast<double>(delays[index]) / 1000.0);
    }
    bench::print_exit(name,
                      {{"connections", accepted_},
                       {"requests", requests_.size()},
                       {"answers", answered},
                       {"lost", lost_}},
                      {{"delay_us", drawn}, {"start_ns", options_.stalls.start_ns}});
    if (!options_.log.empty()) {
      std::ofstream log(options_.log);
      for (const Request& request : requests_) {
        log << request.arrived << ' ' << request.delay << ' ' << request.due << ' '
            << request.answered << '\n';
      }
    }
  }

 private:
  static constexpr std::uint64_t listener_number = 0;
  static constexpr std::uint64_t termination_number = 1;
  // Woken this much before an answer is due, the rest is spent looking at the clock: a sleeping
  // core takes up to about this long to wake.
  static constexpr std::int64_t early_ns = 100'000;

  void watch(int operation, int fd, std::uint64_t number, std::uint32_t events) const {
    epoll_event event{};
    event.events = events;
    event.data.u64 = number;
    if (epoll_ctl(epoll_, operation, fd, &event) != 0) {
      throw std::system_error(errno, std::generic_category(), "epoll_ctl");
    }
  }

  // Events that have come; waits for one, but not longer than until shortly before the next answer.
  int wait(std::array<epoll_event, 256>& events) const {
    int timeout_ms = -1;
    if (!planned_.empty()) {
      const std::int64_t left = planned_.top().due - early_ns - now_ns();
      timeout_ms = static_cast<int>(std::max<std::int64_t>(left, 0) / 1'000'000);
    }
    return epoll_wait(epoll_, events.data(), static_cast<int>(events.size()),
                      options_.busy_poll ? 0 : timeout_ms);
  }

  void accept_all() {
    for (;;) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) {
        return;
      }
      ++accepted_;
      auto connection = std::make_unique<Connection>();
      connection->fd = fd;
      watch(EPOLL_CTL_ADD, fd, ++last_number_, EPOLLIN);
      connections_.emplace(last_number_, std::move(connection));
    }
  }

  void serve(std::uint64_t number, Connection& connection, std::int64_t now) {
    if (!connection.unsent.empty() && !flush(number, connection)) {
      return;
    }
    const ssize_t size = recv(connection.fd, buffer_.data(), buffer_.size(), 0);
    if (size <= 0) {
      if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
        drop(number, connection);
      }
      return;
    }
    std::size_t heads = connection.heads.feed({buffer_.data(), static_cast<std::size_t>(size)});
    for (; heads > 0; --heads) {
      const std::int64_t delay = delays_.next();
      const std::int64_t due = std::max(options_.stalls.release(now + delay), connection.last_due);
      connection.last_due = due;
      planned_.push({due, requests_.size(), number});
      requests_.push_back({now, delay, due, 0});
    }
  }

  void answer_due() {
    while (!planned_.empty()) {
      const Planned next = planned_.top();
      const std::int64_t now = now_ns();
      if (next.due > now) {
        return;
      }
      planned_.pop();
      const auto found = connections_.find(next.connection);
      if (found == connections_.end()) {
        ++lost_;
        continue;
      }
      Connection& connection = *found->second;
      const bool first = connection.unsent.empty();
      connection.unsent += answer_;
      if (!first || flush(next.connection, connection)) {
        requests_[next.request].answered =
            now_ns();  // it may have been kept from running meanwhile
      } else {
        ++lost_;
      }
    }
  }

  // Returns false when the connection is gone.
  bool flush(std::uint64_t number, Connection& connection) {
    std::string& unsent = connection.unsent;
    const ssize_t sent = send(connection.fd, unsent.data(), unsent.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
      drop(number, connection);
      return false;
    }
    unsent.erase(0, static_cast<std::size_t>(std::max<ssize_t>(sent, 0)));
    const bool blocked = !unsent.empty();
    if (blocked != connection.blocked) {
      connection.blocked = blocked;
      watch(EPOLL_CTL_MOD, connection.fd, number, blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
    return true;
  }

  void drop(std::uint64_t number, const Connection& connection) {
    close(connection.fd);
    connections_.erase(number);
  }

  Options options_;
  Delays delays_;
  int listener_;
  int epoll_;
  std::string answer_;
  std::array<char, 64 * 1024> buffer_{};
  std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections_;
  std::uint64_t last_number_ = termination_number;
  std::priority_queue<Planned, std::vector<Planned>, std::greater<>> planned_;
  std::vector<Request> requests_;
  std::uint64_t accepted_ = 0;
  std::uint64_t lost_ = 0;  // answers whose connection had gone
};

int run(Options& options) {
  const int termination = bench::termination_descriptor();
  const int listener = bench::listen_on_loopback(options.port);
  const auto server = std::make_unique<DelayServer>(options, listener, termination);
  bench::print_ready(name, options.port);
  server->run();
  server->report();
  return cli::exit_ok;
}

std::optional<int> parse(int argc, char** argv, Options& options) {
  using std::chrono::nanoseconds;
  nanoseconds delay{0};
  nanoseconds other{0};
  nanoseconds stall{0};
  nanoseconds every = std::chrono::seconds(1);
  const std::map<std::string, Delays::Kind> kinds = {{"constant", Delays::Kind::constant},
                                                     {"two-valued", Delays::Kind::two_valued},
                                                     {"exponential", Delays::Kind::exponential}};
  CLI::App app("Answers every request a programmed time after its arrival", std::string(name));
  app.add_option("--port", options.port, "Port on 127.0.0.1; 0 takes a free one");
  app.add_option("--delays", options.delays.kind, "constant, two-valued or exponential")
      ->transform(CLI::CheckedTransformer(kinds));
  cli::add_duration(app, "--delay", delay, "The constant, the common one of two, or the mean");
  cli::add_duration(app, "--other-delay", other, "The other of two delays");
  app.add_option("--other-share", options.delays.other_share, "Share of requests that get it")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--seed", options.delays.seed, "Seed of the draws");
  cli::add_duration(app, "--stall", stall, "No answers for this long at the end of every period");
  cli::add_duration(app, "--stall-every", every, "The period, counted from the start");
  app.add_option("--body-bytes", options.body_bytes, "Length of an answer's body");
  app.add_flag("--busy-poll", options.busy_poll, "Never sleep; for a core of its own");
  app.add_option("--log", options.log,
                 "File that gets a line per request at the end, ns: arrival, delay, due, answered");
  if (const auto status = cli::parse(app, argc, argv)) {
    return status;
  }
  if (stall.count() > 0 && stall >= every) {
    throw cli::UsageError("--stall is not shorter than --stall-every; shorten it");
  }
  options.delays.delay_ns = delay.count();
  options.delays.other_ns = other.count();
  options.stalls.length_ns = stall.count();
  options.stalls.period_ns = every.count();
  return std::nullopt;
}

}  // namespace
}  // namespace spawnpool::load::testing

int main(int argc, char** argv) {
  using namespace spawnpool::load::testing;
  return spawnpool::cli::run_main(name, [&] {
    Options options;
    const auto status = parse(argc, argv, options);
    return status ? *status : run(options);
  });
}
