// The accept loop, the same for every serving model.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "servers/core/connection.hpp"
#include "servers/core/listener.hpp"
#include "servers/core/serving_model.hpp"

namespace spawnpool {

// The pause after a failed accept, whatever the error: 5 ms, doubling up to 1 s, reset by the next
// success. The values are those of Go's net/http. Go's runtime tries again at once after
// ECONNABORTED and EINTR. Here they wait too: on Linux no client brings about the first, and the
// second comes when a stopped process goes on, so that nobody is held up by the pause.
class AcceptBackoff {
 public:
  std::chrono::milliseconds next() {
    const auto result = delay_;
    delay_ = std::min(delay_ * 2, std::chrono::milliseconds(1000));
    return result;
  }
  void reset() { delay_ = initial; }

 private:
  static constexpr std::chrono::milliseconds initial{5};
  std::chrono::milliseconds delay_ = initial;
};

// Says when something that can happen thousands of times a second is to be logged: at most once a
// minute, with the number of times since the last line.
class LogThrottle {
 public:
  // Counts one event. Returns how many to log now, or nothing.
  std::optional<std::uint64_t> count(std::chrono::steady_clock::time_point now) {
    ++pending_;
    if (last_ && now - *last_ < std::chrono::minutes(1)) {
      return std::nullopt;
    }
    last_ = now;
    return std::exchange(pending_, 0);
  }

 private:
  std::optional<std::chrono::steady_clock::time_point> last_;
  std::uint64_t pending_ = 0;
};

// Accepts connections on a thread of its own and hands each to the model; answers 503 or 429 to
// those it cannot hand over. Never waits for a client.
class Acceptor {
 public:
  // Starts at once. Throws std::system_error when the thread cannot be had.
  Acceptor(Listener& listener, ServerState& server, ServingModel& model);
  ~Acceptor();  // as stop()

  // The end, in three steps. Not for several threads at once; each may be called again.

  // Lets no further client in. Those that the kernel has let in already are still handed over.
  void admit_no_more();

  // Waits until they are, at most until `deadline`. Returns whether they are.
  bool wait_until_done(std::chrono::steady_clock::time_point deadline);

  // Gives up waiting for the model or for descriptors: who is left is rejected, or not accepted at
  // all. Joins the thread and closes the listener.
  void stop();

 private:
  void run();
  void hand_over(Socket socket);
  Dispatch dispatch(Socket& socket);
  void reject(Socket socket, unsigned status, std::string_view reason, Counters::Count& counter);
  void handle_error(int error);

  Listener& listener_;
  ServerState& server_;
  ServingModel& model_;
  AcceptBackoff backoff_;
  StopEvent stopping_;  // no further client is let in
  StopEvent giving_up_;
  StopEvent done_;  // the thread accepts no more
  LogThrottle rejections_;
  std::thread thread_;
};

}  // namespace spawnpool
