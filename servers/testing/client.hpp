// What the tests of the servers talk with: a plain socket, every wait of which is bounded.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "servers/core/socket.hpp"

namespace spawnpool::testing {

// No event that a test awaits may take longer; far above what any takes on a busy machine.
constexpr std::chrono::seconds patience{40};

// Tries again until `condition` holds. False after `patience`, which fails the test.
[[nodiscard]] bool eventually(const std::function<bool()>& condition);

// Threads of this process, or of another.
std::size_t thread_count(pid_t pid = 0);

// A connection could not be had.
class ConnectError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// How an answer came in. Without a byte of it: everything empty.
struct Answer {
  int status = 0;      // 0: the connection ended before the header was whole
  bool whole = false;  // as long as Content-Length says
  bool close = false;  // with Connection: close
  std::string head;
  std::string body;
};

enum class End { closed, reset };

// One connection to 127.0.0.1. Throws std::runtime_error when a wait exceeds its bound.
class Client {
 public:
  // `source`: the client's own address, for example 127.0.0.2. Throws ConnectError, also when the
  // connection is not made within `bound`.
  explicit Client(std::uint16_t port, const char* source = nullptr,
                  std::chrono::milliseconds bound = patience);

  int fd() const { return socket_.fd(); }

  // Sends all of it. False when the peer has closed or reset the connection.
  bool send(std::string_view bytes);

  // Reads one answer. The answer to a HEAD request (`to_head`) has no body, whatever its length.
  Answer receive(bool to_head = false);

  // "GET target" and its answer; `fields` are further header lines, each with its line break.
  Answer get(std::string_view target, std::string_view fields = {});

  // Sends all of a POST but its body of `size` bytes, and awaits "100 Continue": then the request
  // is under way, and stays so until the body is sent. False when the server says something else.
  [[nodiscard]] bool begin_post(std::string_view target, std::size_t size,
                                std::string_view fields = {});

  // Discards what comes until the peer ends the connection.
  End await_end();

  void finish_sending();  // half-close
  void close() { socket_.close(); }
  void reset();  // closes so that the peer gets a reset

 private:
  bool fill();  // receives some bytes; false at the end of the connection

  Socket socket_;
  std::string received_;
};

// The bytes of a GET request.
std::string get_request(std::string_view target, std::string_view fields = {});

}  // namespace spawnpool::testing
