#include "harness/load/run.hpp"

#include <algorithm>
#include <barrier>
#include <exception>
#include <memory>
#include <thread>

namespace spawnpool::load {
namespace {

using namespace std::chrono_literals;

// For the threads to be on their CPUs when it begins.
constexpr auto start_delay = 2ms;
constexpr auto live_period = 1s;
constexpr auto stop_poll = 50ms;

void call(const std::function<void()>& hook) {
  if (hook) {
    hook();
  }
}

// Sleeps until `due`; false when stopped before.
bool sleep_until(Clock::time_point due, const std::atomic<bool>& stop) {
  while (Clock::now() < due) {
    if (stop.load()) {
      return false;
    }
    std::this_thread::sleep_until(std::min(due, Clock::now() + stop_poll));
  }
  return true;
}

void watch(const LoadSpec& spec, Clock::time_point start, const std::atomic<bool>& stop,
           const LoadHooks& hooks, const std::vector<std::unique_ptr<Worker>>& workers) {
  const auto begin = start + spec.warmup;
  const auto end = begin + spec.duration;
  if (!sleep_until(begin, stop)) {
    return;
  }
  call(hooks.window_begin);
  for (auto next = begin + live_period; hooks.live && next < end; next += live_period) {
    if (!sleep_until(next, stop)) {
      break;
    }
    std::uint64_t answered = 0;
    std::uint64_t errors = 0;
    for (const auto& worker : workers) {
      answered += worker->live().answered.load(std::memory_order_relaxed);
      errors += worker->live().errors.load(std::memory_order_relaxed);
    }
    hooks.live(next - begin, answered, errors);
  }
  sleep_until(end, stop);
  call(hooks.window_end);
}

void add(WorkerResult& total, const WorkerResult& part) {
  total.recorder.merge(part.recorder);
  total.cpu += part.cpu;
  total.busy += part.busy;
  total.away += part.away;
  total.connections_opened += part.connections_opened;
  total.reconnects += part.reconnects;
  total.bytes_received += part.bytes_received;
}

}  // namespace

LoadOutcome run_load(const LoadSpec& spec, const std::atomic<bool>& stop, const LoadHooks& hooks) {
  const auto count = static_cast<unsigned>(spec.threads());
  std::vector<std::unique_ptr<Worker>> workers;
  for (unsigned i = 0; i < count; ++i) {
    workers.push_back(std::make_unique<Worker>(spec, i, stop));
  }
  std::vector<std::exception_ptr> failures(count);
  Clock::time_point start;
  std::atomic<bool> failed{false};
  std::barrier all_connected(count + 1, [&]() noexcept { start = Clock::now() + start_delay; });
  std::vector<std::jthread> threads;
  for (unsigned i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      try {
        workers[i]->connect();
      } catch (...) {
        failures[i] = std::current_exception();
        failed = true;
      }
      all_connected.arrive_and_wait();
      if (!failed) {
        workers[i]->run(start);
      }
    });
  }
  all_connected.arrive_and_wait();
  if (!failed) {
    call(hooks.connected);
    watch(spec, start, stop, hooks, workers);
  }
  threads.clear();  // joins
  for (const std::exception_ptr& failure : failures) {
    if (failure) {
      std::rethrow_exception(failure);
    }
  }

  LoadOutcome outcome;
  outcome.total.recorder = Recorder(spec.open_loop.has_value());
  for (const auto& worker : workers) {
    outcome.window = std::max(outcome.window, worker->window());
    outcome.workers.push_back(worker->take_result());
    add(outcome.total, outcome.workers.back());
  }
  outcome.total.background = outcome.workers.front().background;
  outcome.total.background_missing = outcome.workers.front().background_missing;
  return outcome;
}

}  // namespace spawnpool::load
