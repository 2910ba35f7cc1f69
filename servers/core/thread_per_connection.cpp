#include "servers/core/thread_per_connection.hpp"

#include <sched.h>

#include <new>
#include <utility>

#include "servers/core/connection_registry.hpp"
#include "servers/core/phase.hpp"

namespace spawnpool {

struct ThreadPerConnection::Start {
  ThreadPerConnection* model;
  Socket socket;
};

ThreadPerConnection::ThreadPerConnection(ServerState& server, MemoryPolicy memory,
                                         std::size_t max_connections)
    : server_(server), memory_policy_(memory), max_connections_(max_connections) {}

ThreadPerConnection::~ThreadPerConnection() {
  stop();
}

Dispatch ThreadPerConnection::dispatch(Socket& socket) {
  // The registry counts the one in hand already. It counts connections rather than threads, since
  // a client may be back while the thread of its last connection is still ending.
  if (max_connections_ != 0 && server_.registry.open() > max_connections_) {
    return Dispatch::busy;
  }
  auto start = std::make_unique<Start>(Start{this, {}});
  start->socket = std::move(socket);  // when nothing can throw any more
  live_.fetch_add(1, std::memory_order_relaxed);
  pthread_t thread;
  if (pthread_create(&thread, attributes_.get(), run, start.get()) != 0) {
    live_.fetch_sub(1, std::memory_order_relaxed);
    socket = std::move(start->socket);
    return Dispatch::no_thread;
  }
  [[maybe_unused]] Start* const owned_by_thread = start.release();
  Counters::add(server_.counters.threads_started);
  // The thread may be done before the next is started: then the kernel has its stack for that one,
  // of which it keeps two per core and clears every further anew.
  sched_yield();
  return Dispatch::taken;
}

void* ThreadPerConnection::run(void* argument) {
  mark(Phase::setup);
  const std::unique_ptr<Start> start(static_cast<Start*>(argument));
  ThreadPerConnection& model = *start->model;
  leave_restartable_sequences();
  model.serve(std::move(start->socket));
  const pthread_t previous = model.last_ended_.exchange(pthread_self(), std::memory_order_acq_rel);
  if (previous != 0) {
    pthread_join(previous, nullptr);
  }
  if (model.live_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    model.live_.notify_all();
  }
  return nullptr;
}

void ThreadPerConnection::serve(Socket socket) {
  std::unique_ptr<ConnectionMemory> memory;
  try {
    memory = take_memory();
  } catch (const std::bad_alloc&) {
    refuse_without_memory(server_, std::move(socket));
    return;
  }
  Connection(std::move(socket), server_, *memory).serve();
  give_back(std::move(memory));
}

std::unique_ptr<ConnectionMemory> ThreadPerConnection::take_memory() {
  if (memory_policy_ == MemoryPolicy::reused) {
    const std::lock_guard lock(mutex_);
    if (!spare_memory_.empty()) {
      std::unique_ptr<ConnectionMemory> memory = std::move(spare_memory_.back());
      spare_memory_.pop_back();
      return memory;
    }
  }
  return std::make_unique<ConnectionMemory>(server_.limits, memory_policy_, server_.stop);
}

void ThreadPerConnection::give_back(std::unique_ptr<ConnectionMemory> memory) {
  if (memory_policy_ == MemoryPolicy::reused) {
    const std::lock_guard lock(mutex_);
    spare_memory_.push_back(std::move(memory));
  }
}

void ThreadPerConnection::stop() {
  for (std::size_t live = live_.load(std::memory_order_acquire); live != 0;
       live = live_.load(std::memory_order_acquire)) {
    live_.wait(live, std::memory_order_acquire);
  }
  // The last thread still to be joined; by joining it all have ended, since each joined another.
  const pthread_t last = last_ended_.exchange(0, std::memory_order_acq_rel);
  if (last != 0) {
    pthread_join(last, nullptr);
  }
}

}  // namespace spawnpool
