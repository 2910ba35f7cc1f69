#include "harness/trial/waiter.hpp"

#include <sys/signalfd.h>

#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

namespace spawnpool::trial {

Waiter::Waiter() {
  sigset_t ending{};
  sigemptyset(&ending);
  sigaddset(&ending, SIGINT);
  sigaddset(&ending, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ending, &old_mask_);
  signals_ = UniqueFd(signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) {
    throw std::system_error(errno, std::generic_category(), "signalfd");
  }
}

Waiter::~Waiter() {
  pthread_sigmask(SIG_SETMASK, &old_mask_, nullptr);
}

void Waiter::watch(int fd, std::function<bool()> on_readable) {
  watched_[fd] = std::move(on_readable);
}

void Waiter::forget(int fd) {
  watched_.erase(fd);
}

bool Waiter::wait(std::span<pollfd> fds, Clock::time_point deadline) {
  std::vector<pollfd> all;
  for (;;) {
    all.assign(1, {signals_.get(), POLLIN, 0});
    for (const auto& entry : watched_) {
      all.push_back({entry.first, POLLIN, 0});
    }
    all.insert(all.end(), fds.begin(), fds.end());

    const auto left = std::max(Clock::duration::zero(), deadline - Clock::now());
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    const timespec timeout{static_cast<time_t>(seconds.count()),
                           static_cast<long>(std::chrono::nanoseconds(left - seconds).count())};
    if (ppoll(all.data(), all.size(), &timeout, nullptr) < 0 && errno != EINTR) {
      throw std::system_error(errno, std::generic_category(), "ppoll");
    }

    if (all[0].revents != 0) {
      signalfd_siginfo info{};
      if (read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
        throw Interrupted(static_cast<int>(info.ssi_signo));
      }
    }
    const std::size_t first = all.size() - fds.size();
    for (std::size_t i = 1; i < first; ++i) {
      if (all[i].revents != 0 && !watched_.at(all[i].fd)()) {
        watched_.erase(all[i].fd);
      }
    }

    bool ready = false;
    for (std::size_t i = 0; i < fds.size(); ++i) {
      fds[i].revents = all[first + i].revents;
      ready = ready || fds[i].revents != 0;
    }
    if (ready) {
      return true;
    }
    if (Clock::now() >= deadline) {
      return false;
    }
  }
}

bool Waiter::wait(int fd, short events, Clock::time_point deadline) {
  pollfd one{fd, events, 0};
  return wait(std::span(&one, 1), deadline);
}

}  // namespace spawnpool::trial
