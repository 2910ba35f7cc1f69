// A pool of workers, each of which owns a connection for its whole life, as in fasthttp.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "servers/core/connection.hpp"
#include "servers/core/parker.hpp"
#include "servers/core/serving_model.hpp"
#include "servers/core/thread.hpp"

namespace spawnpool {

struct WorkerPoolOptions {
  // What happens to a connection when all workers are busy and the queue is full.
  enum class Overflow {
    reject,  // 503, fasthttp's way
    wait,    // the accept loop waits for a worker: the kernel's backlog is the queue
  };

  std::size_t max_workers = 256;
  std::size_t min_workers = 0;     // started ahead, and never reaped
  std::size_t queue_capacity = 0;  // connections that may wait for a worker, in order
  Overflow overflow = Overflow::reject;
  std::chrono::nanoseconds idle_worker_timeout = std::chrono::seconds(10);
  MemoryPolicy memory = MemoryPolicy::reused;
};

// Ready workers lie on a stack, so that the one whose memory is most likely still in the cache is
// used first and the others can be reaped. Hand-off is direct: the socket is put into the worker
// and the worker is woken. With MemoryPolicy::reused nothing on that way allocates.
class WorkerPool final : public ServingModel {
 public:
  WorkerPool(ServerState& server, const WorkerPoolOptions& options);
  ~WorkerPool() override;

  void start() override;  // may be called again after stop()
  Dispatch dispatch(Socket& socket) override;
  void stop_waiting() override;
  void cut() override;
  void stop() override;
  Sizes sizes() override;
  void tick(std::chrono::steady_clock::time_point now) override { reap(now); }

  // Ends the workers that have been ready for longer than idle_worker_timeout, down to min_workers.
  // Returns how many.
  std::size_t reap(std::chrono::steady_clock::time_point now);

 private:
  struct Worker;
  struct Waiting {
    Socket socket;
    std::chrono::steady_clock::time_point since;  // zero: for a worker that returns
  };

  static void* run(void* worker);
  void serve(Worker& worker);
  bool next(Worker& worker);
  bool start_worker(Socket& socket);
  bool worker_returns() const;
  std::size_t waiting_for_worker() const;
  bool must_wait() const;
  void enqueue(Socket& socket, std::chrono::steady_clock::time_point since);
  Socket take_queued(std::chrono::steady_clock::time_point now);
  void raise_busy_peak();
  std::unique_ptr<ConnectionMemory> new_memory() const;
  std::unique_ptr<Worker> take_out(const Worker& worker);

  ServerState& server_;
  const WorkerPoolOptions options_;
  ServingThreadAttributes attributes_;

  std::mutex mutex_;  // guards everything below
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<Worker*> ready_;  // a stack; the longest ready at the bottom
  std::vector<Waiting> queue_;  // a ring: queue_capacity, and one for each worker that returns
  std::size_t queue_begin_ = 0;
  std::size_t queue_size_ = 0;
  bool waiting_ = false;  // dispatch() waits for a ready worker
  bool stop_waiting_ = false;
  bool stopping_ = false;
  std::condition_variable changed_;  // a worker became ready, or stop_waiting_
};

}  // namespace spawnpool
