#include "servers/core/connection_registry.hpp"

#include <sys/socket.h>

namespace spawnpool {
namespace {

bool has_input(int fd) {
  char byte = 0;
  return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

}  // namespace

void ConnectionRegistry::add(Connection& connection) {
  const std::lock_guard lock(mutex_);
  connection.next_ = first_;
  connection.previous_ = nullptr;
  if (first_ != nullptr) {
    first_->previous_ = &connection;
  }
  first_ = &connection;
}

void ConnectionRegistry::remove(Connection& connection) {
  const std::lock_guard lock(mutex_);
  (connection.previous_ == nullptr ? first_ : connection.previous_->next_) = connection.next_;
  if (connection.next_ != nullptr) {
    connection.next_->previous_ = connection.previous_;
  }
  if (open_.fetch_sub(1, std::memory_order_relaxed) == 1) {
    emptied_.notify_all();
  }
}

void ConnectionRegistry::dismiss() {
  const std::lock_guard lock(mutex_);
  if (open_.fetch_sub(1, std::memory_order_relaxed) == 1) {
    emptied_.notify_all();
  }
}

std::size_t ConnectionRegistry::end_idle(bool fresh) {
  const std::lock_guard lock(mutex_);
  std::size_t count = 0;
  for (Connection* connection = first_; connection != nullptr; connection = connection->next_) {
    const ConnectionState state = connection->state();
    const bool waits = state == ConnectionState::idle || (fresh && state == ConnectionState::fresh);
    // Where a request has begun to arrive, its thread is about to wake; the rest must still come
    // in.
    if (waits && !has_input(connection->fd())) {
      // Wakes a blocked recv.
      shutdown(connection->fd(), SHUT_RD);
      ++count;
    }
  }
  return count;
}

std::size_t ConnectionRegistry::cut_all() {
  const std::lock_guard lock(mutex_);
  std::size_t count = 0;
  for (Connection* connection = first_; connection != nullptr; connection = connection->next_) {
    shutdown(connection->fd(), SHUT_RDWR);
    ++count;
  }
  return count;
}

bool ConnectionRegistry::wait_until_empty(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  return emptied_.wait_until(lock, deadline, [this] { return open() == 0; });
}

ConnectionRegistry::States ConnectionRegistry::states() {
  const std::lock_guard lock(mutex_);
  States result;
  for (Connection* connection = first_; connection != nullptr; connection = connection->next_) {
    switch (connection->state()) {
      case ConnectionState::fresh:
        ++result.fresh;
        break;
      case ConnectionState::active:
        ++result.active;
        break;
      case ConnectionState::idle:
        ++result.idle;
        break;
    }
  }
  return result;
}

}  // namespace spawnpool
