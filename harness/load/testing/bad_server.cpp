// bad_server: answers in every way in which a server can be wrong, or right in an unusual way, and
// counts how often it did. A thread per connection. Requests have no body.
#include <pthread.h>
#include <sys/poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <thread>

#include "harness/load/bench/heads.hpp"
#include "harness/load/bench/local_server.hpp"
#include "servers/cli/cli.hpp"

namespace spawnpool::load::testing {
namespace {

constexpr std::string_view name = "spawnpool-bad-server";
constexpr unsigned rest_us = 20'000;  // after which a client has seen its answer
constexpr std::int64_t patience_ns = 5'000'000'000;

struct Counters {
  std::atomic<std::uint64_t> connections{0};
  std::atomic<std::uint64_t> closed{0};
  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> plain{0};    // answers in the usual form
  std::atomic<std::uint64_t> special{0};  // answers in the form of the mode
};

Counters counters;

bool send_all(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t count = send(fd, data.data(), data.size(), MSG_NOSIGNAL);
    if (count <= 0) {
      return false;
    }
    data.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

bool send_byte_by_byte(int fd, std::string_view data) {
  for (; !data.empty(); data.remove_prefix(1)) {
    if (!send_all(fd, data.substr(0, 1))) {
      return false;
    }
  }
  return true;
}

// Closing sends a reset instead of an end.
void arm_reset(int fd) {
  const linger at_once{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

enum class Then { keep, close, reset };

struct Answer {
  std::string bytes;
  Then then = Then::keep;
  bool byte_by_byte = false;
  std::string endlessly = {};  // sent again and again after the bytes
  std::string later = {};      // sent when the client is at rest

  // Returns whether the connection is kept.
  bool send(int fd) const {
    bool open = byte_by_byte ? send_byte_by_byte(fd, bytes) : send_all(fd, bytes);
    while (open && !endlessly.empty()) {
      open = send_all(fd, endlessly);
    }
    if (open && !later.empty()) {
      usleep(rest_us);
      open = send_all(fd, later);
    }
    if (then == Then::reset) {
      arm_reset(fd);
    }
    return open && then == Then::keep;
  }
};

using Modes = std::map<std::string, Answer, std::less<>>;

const std::string ok = "HTTP/1.1 200 OK\r\n";
const std::string chunked = ok + "Transfer-Encoding: chunked\r\n\r\n";
const std::string idle_timeout = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n";
const Answer plain{ok + "Content-Length: 13\r\n\r\nHello, World!"};

Modes wrong_modes() {
  const std::string long_line = "X-Endless: " + std::string(500, 'x') + "\r\n";
  return {
      {"truncated-head", {ok + "Conte", Then::close}},
      {"truncated-body", {ok + "Content-Length: 13\r\n\r\nHello", Then::close}},
      {"truncated-chunk", {chunked + "d\r\nHello", Then::close}},
      {"no-last-chunk", {chunked + "5\r\nHello\r\n", Then::close}},
      // The rest never comes.
      {"length-too-long", {ok + "Content-Length: 99\r\n\r\nHello, World!"}},
      {"length-too-short", {ok + "Content-Length: 5\r\n\r\nHello, World!"}},
      {"length-no-number", {ok + "Content-Length: many\r\n\r\nHello, World!"}},
      {"length-beyond-64-bits", {ok + "Content-Length: 18446744073709551629\r\n\r\nHello, World!"}},
      {"two-lengths", {ok + "Content-Length: 5\r\nContent-Length: 13\r\n\r\nHello, World!"}},
      {"chunk-no-size", {chunked + "zz\r\nHello\r\n0\r\n\r\n"}},
      {"garbage", {"I do not speak HTTP\r\n\r\n"}},
      {"garbage-bytes", {std::string("\x16\x03\x01\0\xff\xfe\0\0\r\n\0\n\r\n\r\n", 16)}},
      {"status-no-number", {"HTTP/1.1 abc OK\r\n\r\n"}},
      {"endless-head", {.bytes = ok, .endlessly = long_line}},
      {"endless-head-line", {.bytes = ok + "X-Endless: ", .endlessly = std::string(1000, 'x')}},
      {"endless-continue", {.bytes = "", .endlessly = "HTTP/1.1 100 Continue\r\n\r\n"}},
      {"reset-in-body", {ok + "Content-Length: 13\r\n\r\nHello", Then::reset}},
      {"reset-at-once", {"", Then::reset}},
      {"close-at-once", {"", Then::close}},
      {"no-answer", {""}},
      {"endless-body",
       {.bytes = ok + "Content-Length: 999999999999\r\n\r\n",
        .endlessly = std::string(1 << 20, 'x')}},
      {"unasked", {.bytes = plain.bytes, .later = "and another thing"}},
  };
}

Modes right_modes() {
  std::string chunks_of_a_byte = chunked;
  for (const char byte : std::string_view("Hello, World!")) {
    chunks_of_a_byte += std::string("1\r\n") + byte + "\r\n";
  }
  chunks_of_a_byte += "0\r\n\r\n";
  const std::string close = ok + "Connection: close\r\n";
  return {
      {"plain", plain},
      {"byte-by-byte", {.bytes = plain.bytes, .byte_by_byte = true}},
      {"chunked", {chunked + "5\r\nHello\r\n8;of=rest\r\n, World!\r\n0\r\nTrailer: yes\r\n\r\n"}},
      {"chunks-of-a-byte", {.bytes = chunks_of_a_byte, .byte_by_byte = true}},
      {"informational",
       {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" +
        plain.bytes}},
      {"no-content", {"HTTP/1.1 204 No Content\r\n\r\n"}},
      // Its length is that of the body it does not have.
      {"not-modified", {"HTTP/1.1 304 Not Modified\r\nContent-Length: 13\r\n\r\n"}},
      {"until-close", {close + "\r\nHello, World!", Then::close}},
      {"close-announced", {close + "Content-Length: 13\r\n\r\nHello, World!", Then::close}},
      // Closes without a word.
      {"http-1.0", {"HTTP/1.0 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!", Then::close}},
      {"bare-newlines", {"HTTP/1.1 200 OK\nContent-Length: 13\n\nHello, World!"}},
      {"idle-timeout", {.bytes = plain.bytes, .then = Then::close, .later = idle_timeout}},
      {"no-reason", {"HTTP/1.1 200 \r\ncontent-length:13\r\n\r\nHello, World!"}},
  };
}

Modes all_modes() {
  Modes all = wrong_modes();
  all.merge(right_modes());
  return all;
}

struct Options {
  std::uint16_t port = 0;
  std::string mode;
  std::uint64_t every = 1;
  bool close_after_accept = false;
};

void serve(int fd, const Options& options, const Answer& special) {
  std::array<char, 16 * 1024> buffer{};
  bench::HeadCounter heads;
  bool open = !options.close_after_accept;
  while (open) {
    const ssize_t size = recv(fd, buffer.data(), buffer.size(), 0);
    open = size > 0;
    std::size_t count = open ? heads.feed({buffer.data(), static_cast<std::size_t>(size)}) : 0;
    for (; open && count > 0; --count) {
      if (++counters.requests % options.every == 0) {
        ++counters.special;
        open = special.send(fd);
      } else {
        ++counters.plain;
        open = plain.send(fd);
      }
    }
  }
  close(fd);
  ++counters.closed;
}

// Takes every client that is there.
void accept_all(int listener, const Options& options, const Answer& special) {
  for (;;) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) {
      return;
    }
    ++counters.connections;
    std::thread(serve, fd, std::cref(options), std::cref(special)).detach();
  }
}

int run(Options& options) {
  const int termination = bench::termination_descriptor();
  const int listener = bench::listen_on_loopback(options.port);
  const Answer special = options.close_after_accept ? plain : all_modes().at(options.mode);
  bench::print_ready(name, options.port);
  std::array<pollfd, 2> sources = {pollfd{listener, POLLIN, 0}, pollfd{termination, POLLIN, 0}};
  while (poll(sources.data(), sources.size(), -1) >= 0 && sources[1].revents == 0) {
    accept_all(listener, options, special);
  }
  // What clients that have gone have sent is counted still.
  accept_all(listener, options, special);
  const std::int64_t deadline = bench::now_ns() + patience_ns;
  while (counters.closed < counters.connections && bench::now_ns() < deadline) {
    usleep(1000);
  }
  bench::print_exit(name, {{"connections", counters.connections.load()},
                           {"requests", counters.requests.load()},
                           {"plain", counters.plain.load()},
                           {"special", counters.special.load()}});
  _exit(cli::exit_ok);  // threads may wait for their clients still
}

std::optional<int> parse(int argc, char** argv, Options& options) {
  constexpr std::string_view after_accept = "close-after-accept";
  std::vector<std::string> names = {std::string(after_accept)};
  for (const auto& [mode, answer] : all_modes()) {
    names.push_back(mode);
  }
  CLI::App app("Answers in every way in which a server can be wrong", std::string(name));
  app.add_option("--port", options.port, "Port on 127.0.0.1; 0 takes a free one");
  app.add_option("--mode", options.mode, "How to answer")->required()->check(CLI::IsMember(names));
  app.add_option("--every", options.every, "Only every so many requests; plainly between them")
      ->check(CLI::PositiveNumber);
  const auto status = cli::parse(app, argc, argv);
  options.close_after_accept = options.mode == after_accept;
  return status;
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
