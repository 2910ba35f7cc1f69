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
#include <exception>
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

struct Counters {
  std::atomic<std::uint64_t> connections{0};
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

bool byte_by_byte(int fd, std::string_view data) {
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

constexpr std::string_view plain_answer =
    "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!";

bool endless_head(int fd) {
  const std::string line = "X-Endless: " + std::string(500, 'x') + "\r\n";
  bool open = send_all(fd, "HTTP/1.1 200 OK\r\n");
  while (open) {
    open = send_all(fd, line);
  }
  return false;
}

bool endless_head_line(int fd) {
  const std::string part(1000, 'x');
  bool open = send_all(fd, "HTTP/1.1 200 OK\r\nX-Endless: ");
  while (open) {
    open = send_all(fd, part);
  }
  return false;
}

bool endless_continue(int fd) {
  bool open = true;
  while (open) {
    open = send_all(fd, "HTTP/1.1 100 Continue\r\n\r\n");
  }
  return false;
}

// Returns whether the connection is kept.
using Answer = bool (*)(int fd);

const std::map<std::string, Answer, std::less<>>& modes() {
  static const std::map<std::string, Answer, std::less<>> all = {
      // Wrong.
      {"truncated-head", [](int fd) { return send_all(fd, "HTTP/1.1 200 OK\r\nConte") && false; }},
      {"truncated-body",
       [](int fd) {
         return send_all(fd, "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello") && false;
       }},
      {"truncated-chunk",
       [](int fd) {
         return send_all(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nd\r\nHello") &&
                false;
       }},
      {"no-last-chunk",
       [](int fd) {
         return send_all(fd,
                         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n") &&
                false;
       }},
      {"length-too-long",  // and the rest never comes
       [](int fd) {
         return send_all(fd, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nHello, World!");
       }},
      {"length-too-short",
       [](int fd) {
         return send_all(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHello, World!");
       }},
      {"length-no-number",
       [](int fd) {
         return send_all(fd, "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nHello, World!");
       }},
      {"length-beyond-64-bits",
       [](int fd) {
         return send_all(
             fd, "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551629\r\n\r\nHello, World!");
       }},
      {"two-lengths",
       [](int fd) {
         return send_all(fd,
                         "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 13\r\n\r\n"
                         "Hello, World!");
       }},
      {"chunk-no-size",
       [](int fd) {
         return send_all(
             fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nHello\r\n0\r\n\r\n");
       }},
      {"garbage", [](int fd) { return send_all(fd, "I do not speak HTTP\r\n\r\n"); }},
      {"garbage-bytes",
       [](int fd) {
         return send_all(fd, {"\x16\x03\x01\0\xff\xfe\0\0\r\n\0\n\r\n\r\n", 15});
       }},
      {"status-no-number", [](int fd) { return send_all(fd, "HTTP/1.1 abc OK\r\n\r\n"); }},
      {"endless-head", endless_head},
      {"endless-head-line", endless_head_line},
      {"endless-continue", endless_continue},
      {"reset-in-body",
       [](int fd) {
         arm_reset(fd);
         return send_all(fd, "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello") && false;
       }},
      {"reset-at-once",
       [](int fd) {
         arm_reset(fd);
         return false;
       }},
      {"close-at-once", [](int) { return false; }},
      {"no-answer", [](int) { return true; }},
      // Right.
      {"plain", [](int fd) { return send_all(fd, plain_answer); }},
      {"byte-by-byte", [](int fd) { return byte_by_byte(fd, plain_answer); }},
      {"chunked",
       [](int fd) {
         return send_all(fd,
                         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "5\r\nHello\r\n8;of=rest\r\n, World!\r\n0\r\nTrailer: yes\r\n\r\n");
       }},
      {"chunks-of-a-byte",
       [](int fd) {
         std::string text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
         for (const char byte : std::string_view("Hello, World!")) {
           text += std::string("1\r\n") + byte + "\r\n";
         }
         return byte_by_byte(fd, text + "0\r\n\r\n");
       }},
      {"informational",
       [](int fd) {
         return send_all(fd, "HTTP/1.1 100 Continue\r\n\r\n") &&
                send_all(fd, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n") &&
                send_all(fd, plain_answer);
       }},
      {"no-content", [](int fd) { return send_all(fd, "HTTP/1.1 204 No Content\r\n\r\n"); }},
      {"not-modified",  // its length is that of the body it does not have
       [](int fd) {
         return send_all(fd, "HTTP/1.1 304 Not Modified\r\nContent-Length: 13\r\n\r\n");
       }},
      {"until-close",
       [](int fd) {
         return send_all(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nHello, World!") && false;
       }},
      {"close-announced",
       [](int fd) {
         return send_all(fd,
                         "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 13\r\n\r\n"
                         "Hello, World!") &&
                false;
       }},
      {"http-1.0",  // which closes without a word
       [](int fd) {
         return send_all(fd, "HTTP/1.0 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!") && false;
       }},
      {"bare-newlines",
       [](int fd) { return send_all(fd, "HTTP/1.1 200 OK\nContent-Length: 13\n\nHello, World!"); }},
      {"no-reason",
       [](int fd) {
         return send_all(fd, "HTTP/1.1 200\r\ncontent-length:13\r\n\r\nHello, World!");
       }},
  };
  return all;
}

struct Options {
  std::uint16_t port = 0;
  std::string mode;
  std::uint64_t every = 1;
  bool close_after_accept = false;
};

void serve(int fd, const Options& options, Answer special) {
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
        open = special(fd);
      } else {
        ++counters.plain;
        open = send_all(fd, plain_answer);
      }
    }
  }
  close(fd);
}

int run(Options& options) {
  const int termination = bench::termination_descriptor();
  const int listener = bench::listen_on_loopback(options.port, true);
  const Answer special = options.close_after_accept ? nullptr : modes().find(options.mode)->second;
  bench::print_ready(name, options.port);
  std::array<pollfd, 2> sources = {pollfd{listener, POLLIN, 0}, pollfd{termination, POLLIN, 0}};
  while (poll(sources.data(), sources.size(), -1) >= 0 && sources[1].revents == 0) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) {
      ++counters.connections;
      std::thread(serve, fd, std::cref(options), special).detach();
    }
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
  for (const auto& [mode, answer] : modes()) {
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
  using spawnpool::load::testing::name;
  try {
    spawnpool::load::testing::Options options;
    if (const auto status = spawnpool::load::testing::parse(argc, argv, options)) {
      return *status;
    }
    return spawnpool::load::testing::run(options);
  } catch (const std::exception& error) {
    spawnpool::cli::print_error(name, error.what());
    return spawnpool::cli::exit_failure;
  }
}
