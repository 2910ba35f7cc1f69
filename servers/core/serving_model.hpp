// What tells the serving models apart: how a connection comes by a thread.
#pragma once

#include <chrono>
#include <cstddef>

#include "servers/core/socket.hpp"

namespace spawnpool {

// What became of a connection that was handed to a model.
enum class Dispatch {
  taken,      // it is being served, or will be
  busy,       // no thread for it, by the model's own limit
  no_thread,  // the machine gave no thread
};

// A serving model. Only dispatch() is on the way of a connection.
class ServingModel {
 public:
  virtual ~ServingModel() = default;

  // Starts what the model has ready ahead. Throws std::system_error when a thread cannot be had.
  virtual void start() = 0;

  // Hands a connection to a thread, which serves it to its end. When it is not taken, `socket`
  // still holds it. Called by the accept loop only. May block where the model is told to
  // (--overflow wait) until stop_waiting().
  virtual Dispatch dispatch(Socket& socket) = 0;

  // Ends a dispatch() that waits, and all that follow, with Dispatch::busy. From any thread.
  virtual void stop_waiting() {}

  // Gives up what waits to be served; what is being served ends by itself. From any thread.
  virtual void cut() {}

  // Joins every thread. No connection is being served any more, and dispatch() is not called.
  virtual void stop() = 0;

  // How many threads there are, how many of them are ready, and how many connections wait for one;
  // at this moment. From any thread.
  struct Sizes {
    std::size_t threads = 0;
    std::size_t ready = 0;
    std::size_t queued = 0;
  };
  virtual Sizes sizes() = 0;

  // Called some times a second by one thread, for work that is due at a time.
  virtual void tick(std::chrono::steady_clock::time_point /*now*/) {}
};

}  // namespace spawnpool
