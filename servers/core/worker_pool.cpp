#include "servers/core/worker_pool.hpp"

#include <algorithm>
#include <cerrno>
#include <new>
#include <system_error>
#include <utility>

#include "servers/core/connection_registry.hpp"
#include "servers/core/phase.hpp"

namespace spawnpool {

struct WorkerPool::Worker {
  Worker(WorkerPool& owner, bool begins_ready)
      : pool(owner),
        starts_ready(begins_ready),
        memory(owner.options_.memory == MemoryPolicy::reused ? owner.new_memory() : nullptr) {}

  // Tells a worker that it is to end. Only for one that is ready, or was.
  void dismiss() {
    end = true;
    parker.unpark();
  }

  WorkerPool& pool;
  const bool starts_ready;                   // there is no connection for it yet
  std::unique_ptr<ConnectionMemory> memory;  // null with MemoryPolicy::fresh
  Socket socket;                             // written before unpark(), read after park()
  bool end = false;                          // likewise
  Parker parker;
  pthread_t thread{};
  std::chrono::steady_clock::time_point ready_since;  // guarded by the pool's mutex
};

WorkerPool::WorkerPool(ServerState& server, const WorkerPoolOptions& options)
    : server_(server), options_(options), queue_(options.max_workers + options.queue_capacity) {
  // Neither grows on the way of a connection.
  workers_.reserve(options.max_workers);
  ready_.reserve(options.max_workers);
}

WorkerPool::~WorkerPool() {
  stop();
}

void WorkerPool::start() {
  const std::lock_guard lock(mutex_);
  stopping_ = stop_waiting_ = false;
  while (workers_.size() < options_.min_workers) {
    Socket none;
    if (!start_worker(none)) {
      throw std::system_error(errno, std::generic_category(), "cannot start a worker");
    }
  }
}

std::unique_ptr<ConnectionMemory> WorkerPool::new_memory() const {
  return std::make_unique<ConnectionMemory>(server_.limits, options_.memory, server_.stop);
}

Dispatch WorkerPool::dispatch(Socket& socket) {
  Worker* worker = nullptr;
  {
    std::unique_lock lock(mutex_);
    if (options_.overflow == WorkerPoolOptions::Overflow::wait && must_wait()) {
      waiting_ = true;
      changed_.wait(lock, [this] { return stop_waiting_ || !must_wait(); });
      waiting_ = false;
    }
    if (!ready_.empty()) {
      worker = ready_.back();
      ready_.pop_back();
      raise_busy_peak();
    } else if (worker_returns()) {
      enqueue(socket, {});
      return Dispatch::taken;
    } else if (workers_.size() < options_.max_workers) {
      if (!start_worker(socket)) {
        return Dispatch::no_thread;
      }
      raise_busy_peak();
      return Dispatch::taken;
    } else if (waiting_for_worker() <= options_.queue_capacity) {
      enqueue(socket, std::chrono::steady_clock::now());
      Counters::add(server_.counters.queued);
      Counters::raise(server_.counters.queue_peak, waiting_for_worker());
      return Dispatch::taken;
    } else {
      return Dispatch::busy;
    }
  }
  worker->socket = std::move(socket);
  worker->parker.unpark();
  return Dispatch::taken;
}

// Whether some worker has ended its connection, is not on the stack yet, and has no connection to
// come: there are as many workers as open connections, the one in hand among these. To take it for
// busy would start a thread, or refuse a connection, for want of a moment on the CPU. With the
// mutex held and no worker ready.
bool WorkerPool::worker_returns() const {
  return server_.registry.open() <= workers_.size();
}

// How many open connections, the one in hand among them, are more than there are workers. Likewise.
std::size_t WorkerPool::waiting_for_worker() const {
  const std::size_t open = server_.registry.open();
  return open - std::min(open, workers_.size());
}

bool WorkerPool::must_wait() const {
  return ready_.empty() && workers_.size() == options_.max_workers &&
         waiting_for_worker() > options_.queue_capacity;
}

// With the mutex held. There is room: no more than max_workers wait for one that returns.
void WorkerPool::enqueue(Socket& socket, std::chrono::steady_clock::time_point since) {
  queue_[(queue_begin_ + queue_size_) % queue_.size()] = {std::move(socket), since};
  ++queue_size_;
}

void WorkerPool::raise_busy_peak() {
  Counters::raise(server_.counters.workers_busy_peak, workers_.size() - ready_.size());
}

// Starts a worker that serves `socket` first, or is ready at once when there is none. On failure
// leaves `socket` as it was, and errno says why. Called with the mutex held.
bool WorkerPool::start_worker(Socket& socket) {
  auto worker = std::make_unique<Worker>(*this, /*begins_ready=*/!socket);
  worker->socket = std::move(socket);  // when nothing can throw any more
  const int error = pthread_create(&worker->thread, attributes_.get(), run, worker.get());
  if (error != 0) {
    socket = std::move(worker->socket);
    errno = error;
    return false;
  }
  if (worker->starts_ready) {
    worker->ready_since = std::chrono::steady_clock::now();
    ready_.push_back(worker.get());
  }
  workers_.push_back(std::move(worker));
  Counters::add(server_.counters.threads_started);
  Counters::raise(server_.counters.workers_peak, workers_.size());
  return true;
}

void* WorkerPool::run(void* argument) {
  Worker& worker = *static_cast<Worker*>(argument);
  WorkerPool& pool = worker.pool;
  leave_restartable_sequences();
  if (worker.starts_ready) {  // not: has no socket yet, as one may be on its way already
    worker.parker.park();
  }
  while (!worker.end) {
    pool.serve(worker);
    if (!pool.next(worker)) {
      worker.parker.park();
    }
  }
  return nullptr;
}

void WorkerPool::serve(Worker& worker) {
  mark(Phase::setup);
  if (worker.memory != nullptr) {
    Connection(std::move(worker.socket), server_, *worker.memory).serve();
    return;
  }
  std::unique_ptr<ConnectionMemory> memory;
  try {
    memory = new_memory();
  } catch (const std::bad_alloc&) {
    refuse_without_memory(server_, std::move(worker.socket));
    return;
  }
  Connection(std::move(worker.socket), server_, *memory).serve();
}

// Gives the worker the connection that has waited longest, or puts it on the stack of the ready.
// Returns whether it has a connection.
bool WorkerPool::next(Worker& worker) {
  mark(Phase::hand_off);
  const auto now = std::chrono::steady_clock::now();
  const std::lock_guard lock(mutex_);
  if (queue_size_ > 0) {
    worker.socket = take_queued(now);
  } else if (stopping_) {
    worker.end = true;
    return true;
  } else {
    worker.ready_since = now;
    ready_.push_back(&worker);
  }
  if (waiting_) {
    changed_.notify_one();
  }
  return static_cast<bool>(worker.socket);
}

// The connection that has waited longest. Called with the mutex held, when there is one.
Socket WorkerPool::take_queued(std::chrono::steady_clock::time_point now) {
  Waiting& waiting = queue_[queue_begin_];
  queue_begin_ = (queue_begin_ + 1) % queue_.size();
  --queue_size_;
  if (waiting.since != std::chrono::steady_clock::time_point{}) {
    const auto waited = static_cast<std::uint64_t>((now - waiting.since).count());
    Counters::add(server_.counters.queue_wait_ns, waited);
    Counters::raise(server_.counters.queue_wait_max_ns, waited);
  }
  return std::move(waiting.socket);
}

std::size_t WorkerPool::reap(std::chrono::steady_clock::time_point now) {
  std::vector<std::unique_ptr<Worker>> ended;
  {
    const std::lock_guard lock(mutex_);
    // The stack is in the order of ready_since: those to end are at its bottom.
    std::size_t count = 0;
    while (count < ready_.size() && workers_.size() - count > options_.min_workers &&
           now - ready_[count]->ready_since >= options_.idle_worker_timeout) {
      ++count;
    }
    for (std::size_t i = 0; i < count; ++i) {
      ended.push_back(take_out(*ready_[i]));
    }
    ready_.erase(ready_.begin(), ready_.begin() + static_cast<std::ptrdiff_t>(count));
  }
  Counters::add(server_.counters.workers_reaped, ended.size());
  for (const auto& worker : ended) {
    worker->dismiss();
  }
  for (const auto& worker : ended) {
    pthread_join(worker->thread, nullptr);
  }
  return ended.size();
}

// Removes a worker from workers_. Called with the mutex held.
std::unique_ptr<WorkerPool::Worker> WorkerPool::take_out(const Worker& worker) {
  const auto found = std::find_if(workers_.begin(), workers_.end(),
                                  [&](const auto& each) { return each.get() == &worker; });
  std::unique_ptr<Worker> result = std::move(*found);
  *found = std::move(workers_.back());
  workers_.pop_back();
  return result;
}

void WorkerPool::stop_waiting() {
  const std::lock_guard lock(mutex_);
  stop_waiting_ = true;
  changed_.notify_all();
}

void WorkerPool::cut() {
  std::vector<Socket> waiting;
  {
    const auto now = std::chrono::steady_clock::now();
    const std::lock_guard lock(mutex_);
    while (queue_size_ > 0) {
      waiting.push_back(take_queued(now));
    }
  }
  for (Socket& socket : waiting) {
    drop_admitted(server_, std::move(socket));
  }
}

void WorkerPool::stop() {
  std::vector<std::unique_ptr<Worker>> ending;
  ending.reserve(options_.max_workers);
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (Worker* worker : ready_) {
      worker->dismiss();
    }
    ready_.clear();
    ending.swap(workers_);
  }
  for (const auto& worker : ending) {  // a busy one ends by itself after its connection
    pthread_join(worker->thread, nullptr);
  }
}

ServingModel::Sizes WorkerPool::sizes() {
  const std::lock_guard lock(mutex_);
  return {workers_.size(), ready_.size(), queue_size_};
}

}  // namespace spawnpool
