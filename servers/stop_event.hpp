// An event that is set once, when a server gives up on what is still running.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>

namespace spawnpool {

// Thread-safe. Set once; never reset.
class StopEvent {
 public:
  void set() {
    {
      const std::lock_guard lock(mutex_);
      set_.store(true, std::memory_order_relaxed);
    }
    condition_.notify_all();
  }

  bool is_set() const { return set_.load(std::memory_order_relaxed); }

  // Waits until set or until `duration` has passed. Returns whether it is set.
  bool wait_for(std::chrono::nanoseconds duration) const {
    std::unique_lock lock(mutex_);
    return condition_.wait_for(lock, duration, [this] { return is_set(); });
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable condition_;
  std::atomic<bool> set_ = false;
};

}  // namespace spawnpool
