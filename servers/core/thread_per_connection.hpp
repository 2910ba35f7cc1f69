// A thread for each connection, as Go's net/http has a goroutine for each.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "servers/core/connection.hpp"
#include "servers/core/serving_model.hpp"
#include "servers/core/thread.hpp"

namespace spawnpool {

class ThreadPerConnection final : public ServingModel {
 public:
  // max_connections 0: no limit, which is the model's own way.
  ThreadPerConnection(ServerState& server, MemoryPolicy memory, std::size_t max_connections);
  ~ThreadPerConnection() override;

  void start() override {}
  Dispatch dispatch(Socket& socket) override;
  void stop() override;
  Sizes sizes() override { return {.threads = live_.load(std::memory_order_relaxed)}; }

 private:
  struct Start;

  static void* run(void* start);
  void serve(Socket socket);
  std::unique_ptr<ConnectionMemory> take_memory();
  void give_back(std::unique_ptr<ConnectionMemory> memory);

  ServerState& server_;
  const MemoryPolicy memory_policy_;
  const std::size_t max_connections_;
  ServingThreadAttributes attributes_;

  std::atomic<std::size_t> live_ = 0;
  // Each thread, as the last thing it does, joins the one that ended before it. So every thread is
  // joined, none is waited for in the accept loop, and at most one ended thread is unjoined.
  std::atomic<pthread_t> last_ended_ = 0;

  std::mutex mutex_;
  std::vector<std::unique_ptr<ConnectionMemory>> spare_memory_;  // guarded by mutex_; reused only
};

}  // namespace spawnpool
