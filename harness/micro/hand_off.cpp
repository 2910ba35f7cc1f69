// How long a connection waits for its thread: from the moment at which the accepting thread gives
// it away to the first instruction of the thread that serves it. Manual time, by one clock.
//   thread_cached_stack   a thread is started as ThreadPerConnection starts it; glibc keeps up to
//                         40 MiB of ended threads' stacks and has one for it
//   thread_fresh_stack    likewise, but its stack is mapped for it, as glibc does once none is left
//   worker                a worker that sleeps is woken as WorkerPool wakes it
// Nothing is pinned. The trials run a server on one core: `taskset -c 0` measures it so. Between
// two cores most of the time is spent on waking the other one.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <string_view>

#include "harness/micro/heap_use.hpp"
#include "servers/core/parker.hpp"
#include "servers/core/thread.hpp"

namespace {

using Clock = std::chrono::steady_clock;
using spawnpool::Parker;
using spawnpool::ServingThreadAttributes;

constexpr std::chrono::seconds patience{10};  // a thread that takes longer never comes

double seconds(Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

// As ThreadPerConnection::Start, which is on the way of a connection too.
struct Start {
  Clock::time_point begun;
};

void* begin(void* start) {
  static_cast<Start*>(start)->begun = Clock::now();
  return nullptr;
}

// One hand-off to a new thread, which is joined; negative when there is none.
double hand_to_thread(const pthread_attr_t* attributes, Clock::time_point given) {
  const auto start = std::make_unique<Start>();
  pthread_t thread{};
  if (pthread_create(&thread, attributes, begin, start.get()) != 0) {
    return -1;
  }
  sched_yield();  // as ThreadPerConnection::dispatch
  pthread_join(thread, nullptr);
  return seconds(start->begun - given);
}

#ifdef __SANITIZE_THREAD__
constexpr std::size_t sanitizer_bytes = 1024 * 1024;  // it keeps its own state on the stack as well
#else
constexpr std::size_t sanitizer_bytes = 0;
#endif

// A stack with a guard page, mapped in the two steps of glibc and unmapped again.
class FreshStack {
 public:
  explicit FreshStack(std::size_t size) : size_(size + sanitizer_bytes) {
    memory_ = static_cast<char*>(
        mmap(nullptr, size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0));
    is_mapped_ = memory_ != MAP_FAILED &&
                 mprotect(memory_ + guard, size_ - guard, PROT_READ | PROT_WRITE) == 0;
  }
  FreshStack(const FreshStack&) = delete;
  FreshStack& operator=(const FreshStack&) = delete;
  ~FreshStack() {
    if (memory_ != MAP_FAILED) {
      munmap(memory_, size_);
    }
  }

  // Puts the stack into attributes; false when there is no memory for it.
  bool put_into(pthread_attr_t& attributes) const {
    return is_mapped_ && pthread_attr_setstack(&attributes, memory_ + guard, size_ - guard) == 0;
  }

 private:
  static constexpr std::size_t guard = 4096;
  std::size_t size_;
  char* memory_ = nullptr;
  bool is_mapped_ = false;
};

void thread_cached_stack(benchmark::State& state) {
  const ServingThreadAttributes attributes;
  hand_to_thread(attributes.get(), Clock::now());  // leaves its stack to the next
  spawnpool::micro::count_from_here();
  for ([[maybe_unused]] auto _ : state) {
    const double latency = hand_to_thread(attributes.get(), Clock::now());
    if (latency < 0) {
      state.SkipWithError("no thread is to be had: raise the limit on processes (ulimit -u)");
      break;
    }
    state.SetIterationTime(latency);
  }
  spawnpool::micro::count_to_here();
}

void thread_fresh_stack(benchmark::State& state) {
  const ServingThreadAttributes serving;
  std::size_t stack_size = 0;
  sigset_t blocked;
  pthread_attr_getstacksize(serving.get(), &stack_size);
  pthread_attr_getsigmask_np(serving.get(), &blocked);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setsigmask_np(&attributes, &blocked);
  spawnpool::micro::count_from_here();
  for ([[maybe_unused]] auto _ : state) {
    const auto given = Clock::now();
    const FreshStack stack(stack_size);
    const double latency = stack.put_into(attributes) ? hand_to_thread(&attributes, given) : -1;
    if (latency < 0) {
      state.SkipWithError("no thread is to be had: raise the limit on processes (ulimit -u)");
      break;
    }
    state.SetIterationTime(latency);
  }
  spawnpool::micro::count_to_here();
  pthread_attr_destroy(&attributes);
}

// The state of a thread of this process as /proc has it ('S': sleeps); 0 when it cannot be read.
// Allocates nothing.
char state_of(pid_t thread) {
  std::array<char, 64> path;
  std::snprintf(path.data(), path.size(), "/proc/self/task/%d/stat", thread);
  const int file = open(path.data(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    return 0;
  }
  std::array<char, 128> text;
  const ssize_t size = read(file, text.data(), text.size());
  close(file);
  const std::string_view line(text.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  const std::size_t name_end = line.rfind(") ");  // behind the id and the name
  return name_end == std::string_view::npos || name_end + 2 == line.size() ? '\0'
                                                                           : line[name_end + 2];
}

// A thread that waits to be woken, as WorkerPool::Worker, and says when it was.
struct Worker {
  Parker parker;  // what the worker sleeps on
  Parker told;    // what the other thread sleeps on until `begun` is written
  Clock::time_point begun;
  bool end = false;
  std::atomic<pid_t> id{0};

  static void* run(void* argument) {
    Worker& worker = *static_cast<Worker*>(argument);
    spawnpool::leave_restartable_sequences();
    worker.id.store(gettid(), std::memory_order_release);
    for (;;) {
      worker.parker.park();
      worker.begun = Clock::now();
      if (worker.end) {
        return nullptr;
      }
      worker.told.unpark();
    }
  }

  // Waits until the worker sleeps, since waking one that is still on its way to sleep is no
  // wake-up. False when that takes too long, or /proc does not tell.
  bool wait_until_asleep() const {
    const auto deadline = Clock::now() + patience;
    while (Clock::now() < deadline) {
      const pid_t thread = id.load(std::memory_order_acquire);
      if (thread != 0) {
        const char found = state_of(thread);
        if (found == 'S' || found == 0) {
          return found != 0;
        }
      }
      sched_yield();
    }
    return false;
  }
};

void worker(benchmark::State& state) {
  const ServingThreadAttributes attributes;
  Worker worker;
  pthread_t thread{};
  if (pthread_create(&thread, attributes.get(), Worker::run, &worker) != 0) {
    state.SkipWithError("no thread is to be had: raise the limit on processes (ulimit -u)");
    return;
  }
  spawnpool::micro::count_from_here();
  for ([[maybe_unused]] auto _ : state) {
    if (!worker.wait_until_asleep()) {
      state.SkipWithError("the worker did not go to sleep");
      break;
    }
    const auto given = Clock::now();
    worker.parker.unpark();
    worker.told.park();
    state.SetIterationTime(seconds(worker.begun - given));
  }
  spawnpool::micro::count_to_here();
  worker.end = true;
  worker.parker.unpark();
  pthread_join(thread, nullptr);
}

void hand_off(benchmark::State& state, void (*measure)(benchmark::State&)) {
  measure(state);
}

BENCHMARK_CAPTURE(hand_off, thread_cached_stack, thread_cached_stack)->UseManualTime();
BENCHMARK_CAPTURE(hand_off, thread_fresh_stack, thread_fresh_stack)->UseManualTime();
BENCHMARK_CAPTURE(hand_off, worker, worker)->UseManualTime();

}  // namespace
