// The connections that are being served, for those who have to talk to them.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>

#include "servers/core/connection.hpp"

namespace spawnpool {

// Thread-safe. A connection is in the registry while its socket is open, so that whoever walks it
// never touches a descriptor that was closed and given to another. Costs a connection two short
// locks, and a request nothing.
class ConnectionRegistry {
 public:
  // Counts a connection that was accepted and is not served yet. The accept loop calls it.
  void admit() { open_.fetch_add(1, std::memory_order_relaxed); }

  // Takes back admit() for a connection that will not be served.
  void dismiss();

  // Begin and end of serving an admitted connection.
  void add(Connection& connection);
  void remove(Connection& connection);

  // Connections admitted and not ended: served, handed over or queued.
  std::size_t open() const { return open_.load(std::memory_order_relaxed); }

  // Ends the connections that wait for a next request, unless a part of one has arrived. With
  // `fresh`, also those that never sent a byte. Returns how many.
  std::size_t end_idle(bool fresh);

  // Ends every connection, whatever it does. Returns how many there were.
  std::size_t cut_all();

  // Waits until no connection is open or the deadline has passed; returns whether none is.
  bool wait_until_empty(std::chrono::steady_clock::time_point deadline);

  // How many connections are in each state.
  struct States {
    std::size_t fresh = 0;
    std::size_t active = 0;
    std::size_t idle = 0;
  };
  States states();

 private:
  std::mutex mutex_;
  std::condition_variable emptied_;
  Connection* first_ = nullptr;        // guarded by mutex_
  std::atomic<std::size_t> open_ = 0;  // goes down under mutex_ only, so that no wake-up is lost
};

}  // namespace spawnpool
