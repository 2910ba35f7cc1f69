#include "servers/core/lingering_close.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "servers/core/phase.hpp"

namespace spawnpool {
namespace {

// Reads what there is. Returns false when the peer has closed or the connection is broken.
bool drain(int fd) {
  std::array<char, 16 * 1024> discarded;
  for (int i = 0; i < 16; ++i) {  // bounded: one sender must not keep the thread from the others
    const ssize_t n = recv(fd, discarded.data(), discarded.size(), MSG_DONTWAIT);
    if (n <= 0) {
      return n < 0 && (errno == EAGAIN || errno == EINTR);
    }
  }
  return true;
}

}  // namespace

LingeringClose::LingeringClose(std::chrono::milliseconds linger)
    : linger_(linger), wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (wake_fd_ < 0) {
    throw std::system_error(errno, std::generic_category(), "eventfd");
  }
  arriving_.reserve(capacity);
  entries_.reserve(capacity);
  polled_.reserve(capacity + 1);
  thread_ = std::thread([this] { run(); });
}

LingeringClose::~LingeringClose() {
  finish();
  ::close(wake_fd_);
}

void LingeringClose::finish() {
  if (!thread_.joinable()) {
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  eventfd_write(wake_fd_, 1);
  thread_.join();
}

void LingeringClose::close(Socket socket) {
  shutdown(socket.fd(), SHUT_WR);
  if (!hold(socket)) {
    drain(socket.fd());  // then the close resets a peer only that sends still more
  }
}

// Takes the socket for the thread to linger on; false when there is no room for it.
bool LingeringClose::hold(Socket& socket) {
  {
    const std::lock_guard lock(mutex_);
    if (held_ == capacity || stopping_) {
      return false;
    }
    ++held_;
    arriving_.push_back({std::move(socket), std::chrono::steady_clock::now() + linger_});
  }
  eventfd_write(wake_fd_, 1);
  return true;
}

void LingeringClose::run() {
  mark(Phase::close);
  for (;;) {
    bool stopping = false;
    {
      const std::lock_guard lock(mutex_);
      stopping = stopping_;
      std::move(arriving_.begin(), arriving_.end(), std::back_inserter(entries_));
      arriving_.clear();
    }
    const auto now = std::chrono::steady_clock::now();
    const std::size_t before = entries_.size();
    std::erase_if(entries_, [&](const Entry& entry) {
      return !drain(entry.socket.fd()) || entry.deadline <= now;
    });
    if (entries_.size() != before) {
      const std::lock_guard lock(mutex_);
      held_ -= before - entries_.size();
    }
    if (stopping && entries_.empty()) {
      return;
    }
    polled_.assign(1, {wake_fd_, POLLIN, 0});
    auto next = std::chrono::steady_clock::time_point::max();
    for (const Entry& entry : entries_) {
      polled_.push_back({entry.socket.fd(), POLLIN, 0});
      next = std::min(next, entry.deadline);
    }
    int timeout = -1;  // woken by close() and by finish()
    if (!entries_.empty()) {
      const auto wait = std::chrono::ceil<std::chrono::milliseconds>(next - now);
      timeout = static_cast<int>(std::max<std::chrono::milliseconds::rep>(wait.count(), 0));
    }
    poll(polled_.data(), polled_.size(), timeout);
    eventfd_t ignored = 0;
    eventfd_read(wake_fd_, &ignored);
  }
}

}  // namespace spawnpool
