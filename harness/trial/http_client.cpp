#include "harness/trial/http_client.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cerrno>
#include <system_error>

namespace spawnpool::trial {
namespace {

namespace http = boost::beast::http;

constexpr std::uint64_t body_limit = 256 << 20;

std::string text(int error) {
  return std::generic_category().message(error);
}

sockaddr_in socket_address(const Endpoint& endpoint) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(endpoint.port);
  if (inet_pton(AF_INET, endpoint.address.c_str(), &address.sin_addr) != 1) {
    throw HttpError("'" + endpoint.address + "' is no IPv4 address");
  }
  return address;
}

// Connects; returns 0 or the error.
int connect_by(Waiter& waiter, int fd, const Endpoint& endpoint, Clock::time_point deadline) {
  const sockaddr_in address = socket_address(endpoint);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    return 0;
  }
  if (errno != EINPROGRESS) {
    return errno;
  }
  if (!waiter.wait(fd, POLLOUT, deadline)) {
    return ETIMEDOUT;
  }
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

UniqueFd tcp_socket() {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) {
    throw std::system_error(errno, std::generic_category(), "socket");
  }
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

}  // namespace

std::string request_bytes(const RequestSpec& request, const Endpoint& endpoint, bool close) {
  std::string bytes = request.method + " " + request.path + " HTTP/1.1\r\n";
  bytes += "Host: " + endpoint.address + ":" + std::to_string(endpoint.port) + "\r\n";
  if (close) {
    bytes += "Connection: close\r\n";
  }
  for (const auto& [name, value] : request.headers) {
    bytes.append(name).append(": ").append(value).append("\r\n");
  }
  // RFC 9110, 8.6: of a method that anticipates content, an empty body too is announced.
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT" ||
      request.method == "PATCH") {
    bytes += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
  }
  return bytes + "\r\n" + request.body;
}

bool accepts_connections(Waiter& waiter, const Endpoint& endpoint, Clock::time_point deadline) {
  const UniqueFd fd = tcp_socket();
  return connect_by(waiter, fd.get(), endpoint, deadline) == 0;
}

std::uint16_t free_port() {
  const UniqueFd fd = tcp_socket();
  sockaddr_in address = socket_address({"127.0.0.1", 0});
  socklen_t size = sizeof address;
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::system_error(errno, std::generic_category(), "bind to a free port");
  }
  return ntohs(address.sin_port);
}

HttpConnection::HttpConnection(Waiter& waiter, const Endpoint& endpoint, Clock::time_point deadline)
    : waiter_(waiter), socket_(tcp_socket()) {
  const int error = connect_by(waiter, socket_.get(), endpoint, deadline);
  if (error != 0) {
    throw HttpError("no connection to " + endpoint.address + ":" + std::to_string(endpoint.port) +
                    ": " + text(error));
  }
}

HttpAnswer HttpConnection::exchange(const std::string& request, Clock::time_point deadline) {
  std::size_t sent = 0;
  while (sent < request.size()) {
    const ssize_t count =
        send(socket_.get(), request.data() + sent, request.size() - sent, MSG_NOSIGNAL);
    if (count > 0) {
      sent += static_cast<std::size_t>(count);
    } else if (errno != EAGAIN && errno != EINTR) {
      throw HttpError("the request could not be sent: " + text(errno));
    } else if (!waiter_.wait(socket_.get(), POLLOUT, deadline)) {
      throw HttpError("the request was not taken in time");
    }
  }

  http::response_parser<http::string_body> parser;
  parser.body_limit(body_limit);
  parser.eager(true);
  parser.skip(request.starts_with("HEAD "));  // its answer has a length, but no body
  std::array<char, 65536> buffer{};
  std::string pending;  // received, not yet a whole element for the parser
  std::uint64_t received = 0;
  while (!parser.is_done()) {
    const std::size_t got =
        receive(buffer.data(), buffer.size(), deadline, "no whole answer in time");
    boost::beast::error_code error;
    if (got == 0) {
      if (parser.got_some()) {
        parser.put_eof(error);  // the legal end of a body without a length
      }
      if (!parser.is_done()) {
        throw HttpError("the connection ended after " + std::to_string(received) +
                        " bytes of the answer");
      }
      break;
    }
    received += got;
    pending.append(buffer.data(), got);
    while (!pending.empty() && !parser.is_done()) {
      const std::size_t used = parser.put(boost::asio::buffer(pending), error);
      pending.erase(0, used);
      if (error == http::error::need_more) {
        break;
      }
      if (error) {
        throw HttpError("the answer is no HTTP: " + error.message());
      }
    }
    if (parser.is_done() && !pending.empty()) {
      throw HttpError("the answer goes on for " + std::to_string(pending.size()) +
                      " bytes behind its end");
    }
  }
  HttpAnswer answer;
  answer.status = parser.get().result_int();
  answer.body = std::move(parser.get().body());
  answer.bytes = received;
  answer.keep_alive = parser.keep_alive();
  return answer;
}

void HttpConnection::finish(Clock::time_point deadline) {
  shutdown(socket_.get(), SHUT_WR);
  char byte = 0;
  if (receive(&byte, 1, deadline, "the connection was not closed after its last request") != 0) {
    throw HttpError("bytes came that nobody had asked for");
  }
}

bool HttpConnection::closed_by_target(Clock::time_point deadline) {
  if (!waiter_.wait(socket_.get(), POLLIN, deadline)) {
    return false;
  }
  char byte = 0;
  return recv(socket_.get(), &byte, 1, 0) <= 0;
}

std::size_t HttpConnection::receive(char* data, std::size_t size, Clock::time_point deadline,
                                    const char* late) {
  for (;;) {
    const ssize_t count = recv(socket_.get(), data, size, 0);
    if (count >= 0) {
      return static_cast<std::size_t>(count);
    }
    if (errno != EAGAIN && errno != EINTR) {
      throw HttpError("the answer could not be received: " + text(errno));
    }
    if (!waiter_.wait(socket_.get(), POLLIN, deadline)) {
      throw HttpError(late);
    }
  }
}

}  // namespace spawnpool::trial
