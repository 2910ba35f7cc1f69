#include "servers/testing/client.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <iterator>
#include <system_error>
#include <thread>

namespace spawnpool::testing {
namespace {

std::string error_text(const char* what) {
  return std::string(what) + ": " + std::generic_category().message(errno);
}

sockaddr_in loopback(const char* address, std::uint16_t port) {
  sockaddr_in result{};
  result.sin_family = AF_INET;
  result.sin_port = htons(port);
  inet_pton(AF_INET, address, &result.sin_addr);
  return result;
}

void set_bound(int fd, int option, std::chrono::milliseconds bound) {
  const timeval value{bound.count() / 1000, (bound.count() % 1000) * 1000};
  setsockopt(fd, SOL_SOCKET, option, &value, sizeof(value));
}

}  // namespace

bool eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) {
      return false;
    }
    std::this_thread::yield();
  }
  return true;
}

// ThreadSanitizer starts a thread of its own beside the first one, which would look like a leaked
// one. The first one itself is in /proc for a moment after it has been joined, and would be
// counted.
[[maybe_unused]] const bool first_thread_has_been = [] {
  pid_t id = 0;
  std::thread([&] { id = gettid(); }).join();
  return eventually(
      [&] { return !std::filesystem::exists("/proc/self/task/" + std::to_string(id)); });
}();

std::size_t thread_count(pid_t pid) {
  const std::string process = pid == 0 ? "self" : std::to_string(pid);
  const std::filesystem::directory_iterator tasks("/proc/" + process + "/task");
  return static_cast<std::size_t>(std::distance(begin(tasks), end(tasks)));
}

std::string get_request(std::string_view target, std::string_view fields) {
  std::string request = "GET ";
  request += target;
  request += " HTTP/1.1\r\nHost: localhost\r\n";
  request += fields;
  request += "\r\n";
  return request;
}

Client::Client(std::uint16_t port, const char* source, std::chrono::milliseconds bound)
    : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  if (!socket_) {
    throw ConnectError(error_text("socket"));
  }
  if (source != nullptr) {
    const sockaddr_in from = loopback(source, 0);
    const int on = 1;
    setsockopt(fd(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    if (bind(fd(), reinterpret_cast<const sockaddr*>(&from), sizeof(from)) != 0) {
      throw ConnectError(error_text("bind"));
    }
  }
  set_bound(fd(), SO_SNDTIMEO, bound);  // connect() heeds it
  const sockaddr_in to = loopback("127.0.0.1", port);
  if (connect(fd(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) {
    throw ConnectError(error_text("connect"));
  }
  set_bound(fd(), SO_SNDTIMEO, patience);
  set_bound(fd(), SO_RCVTIMEO, patience);
}

bool Client::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EPIPE || errno == ECONNRESET) {
        return false;
      }
      throw std::runtime_error(error_text("send"));
    }
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

bool Client::fill() {
  std::array<char, 16 * 1024> buffer;
  const ssize_t n = recv(fd(), buffer.data(), buffer.size(), 0);
  if (n > 0) {
    received_.append(buffer.data(), static_cast<std::size_t>(n));
    return true;
  }
  if (n < 0 && errno != ECONNRESET) {
    throw std::runtime_error(error_text("recv"));
  }
  return false;
}

Answer Client::receive(bool to_head) {
  constexpr std::string_view head_end = "\r\n\r\n";
  constexpr std::string_view length_name = "\r\nContent-Length: ";
  Answer answer;
  std::size_t size = 0;
  while ((size = received_.find(head_end)) == std::string::npos) {
    if (!fill()) {
      answer.head = received_;
      return answer;
    }
  }
  size += head_end.size();
  answer.head = received_.substr(0, size);
  received_.erase(0, size);
  if (answer.head.starts_with("HTTP/1.1 ")) {
    std::from_chars(answer.head.data() + 9, answer.head.data() + 12, answer.status);
  }
  answer.close = answer.head.find("\r\nConnection: close\r\n") != std::string::npos;
  std::size_t length = 0;
  if (const std::size_t at = answer.head.find(length_name); at != std::string::npos && !to_head) {
    std::from_chars(answer.head.data() + at + length_name.size(),
                    answer.head.data() + answer.head.size(), length);
  }
  while (received_.size() < length) {
    if (!fill()) {
      answer.body = received_;
      return answer;
    }
  }
  answer.body = received_.substr(0, length);
  received_.erase(0, length);
  answer.whole = true;
  return answer;
}

Answer Client::get(std::string_view target, std::string_view fields) {
  send(get_request(target, fields));
  return receive();
}

bool Client::begin_post(std::string_view target, std::size_t size, std::string_view fields) {
  std::string request = "POST ";
  request += target;
  request += " HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: ";
  request += std::to_string(size) + "\r\n";
  request += fields;
  request += "\r\n";
  return send(request) && receive().status == 100;
}

End Client::await_end() {
  for (;;) {
    std::array<char, 64 * 1024> discarded;
    const ssize_t n = recv(fd(), discarded.data(), discarded.size(), 0);
    if (n == 0) {
      return End::closed;
    }
    if (n < 0) {
      if (errno == ECONNRESET) {
        return End::reset;
      }
      throw std::runtime_error(error_text("recv"));
    }
  }
}

void Client::finish_sending() {
  shutdown(fd(), SHUT_WR);
}

void Client::reset() {
  const linger at_once{1, 0};
  setsockopt(fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  close();
}

}  // namespace spawnpool::testing
