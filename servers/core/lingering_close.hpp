// Closes sockets whose peer may still be sending, without losing the answer to it.
#pragma once

#include <poll.h>

#include <chrono>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

#include "servers/core/socket.hpp"

namespace spawnpool {

// A close() with unread input makes the kernel send a reset, which can destroy an answer that the
// peer has not read yet (RFC 9112, 9.6). Such sockets are shut down for writing and read until the
// peer closes or a short time has passed, by one thread of this object, so that neither the accept
// loop nor a worker waits for them.
class LingeringClose {
 public:
  static constexpr std::size_t capacity = 256;  // sockets at once; more are closed without waiting

  // A socket is held for `linger` at most. Throws std::system_error when out of descriptors or
  // threads.
  explicit LingeringClose(std::chrono::milliseconds linger = std::chrono::milliseconds(500));
  ~LingeringClose();  // as finish()

  LingeringClose(const LingeringClose&) = delete;
  LingeringClose& operator=(const LingeringClose&) = delete;

  // Takes the socket. Never blocks, allocates nothing, thread-safe.
  void close(Socket socket);

  // Waits for what is held, no longer than it is held, and joins the thread. What is handed over
  // from then on is closed without waiting. Idempotent; not for several threads at once.
  void finish();

 private:
  struct Entry {
    Socket socket;
    std::chrono::steady_clock::time_point deadline;
  };

  bool hold(Socket& socket);
  void run();

  const std::chrono::milliseconds linger_;
  std::mutex mutex_;
  std::vector<Entry> arriving_;  // guarded by mutex_; its capacity is reserved
  bool stopping_ = false;        // guarded by mutex_
  std::size_t held_ = 0;         // guarded by mutex_: arriving and being lingered on
  int wake_fd_ = -1;

  // The thread's own. Reserved before it starts: want of memory in it would end the server.
  std::vector<Entry> entries_;
  std::vector<pollfd> polled_;
  std::thread thread_;
};

}  // namespace spawnpool
