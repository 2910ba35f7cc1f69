// A whole server: listener, accept loop, serving model, and their orderly end.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "servers/core/counters.hpp"
#include "servers/core/limits.hpp"
#include "servers/core/worker_pool.hpp"
#include "servers/router.hpp"

namespace spawnpool {

enum class Model { thread_per_connection, worker_pool };

struct ServerOptions {
  Model model = Model::thread_per_connection;
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;
  int backlog = 4096;
  bool defer_accept = false;  // see Listener
  MemoryPolicy memory = MemoryPolicy::fresh;
  std::size_t max_connections = 0;              // thread per connection; 0: no limit
  std::size_t max_connections_per_address = 0;  // 0: no limit
  std::chrono::nanoseconds drain_timeout = std::chrono::seconds(10);
  Limits limits = {};
  WorkerPoolOptions pool = {};  // worker pool; its `memory` is taken from above
};

// Connections by state, at one moment.
struct OpenConnections {
  std::size_t open = 0;   // with those that wait for a thread
  std::size_t fresh = 0;  // accepted, nothing received: "new" in the exit line
  std::size_t active = 0;
  std::size_t idle = 0;
};

// How a server ended.
struct DrainReport {
  OpenConnections connections;  // when the drain began
  ServingModel::Sizes threads;  // likewise
  std::chrono::nanoseconds duration{};
  std::size_t cut = 0;  // connections that were cut when the time was up
};

// Serves from construction to drain(). What reads is thread-safe until the destructor.
class Server {
 public:
  // Throws ListenError, or std::system_error when threads cannot be had.
  Server(const ServerOptions& options, Router router);
  ~Server();  // drains when drain() was not called

  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::uint16_t port() const;
  const Counters& counters() const;

  // At this moment.
  OpenConnections connections() const;
  std::uint64_t open_connections() const;  // connections().open, at less cost
  ServingModel::Sizes threads() const;

  // Ends the server: lets no further client in, ends idle connections, lets active requests finish
  // (their answers say Connection: close) up to the drain time-out, then cuts. Clients that were
  // let in and wait to be accepted are served like the others. All threads are joined. A second
  // call does nothing.
  DrainReport drain();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace spawnpool
