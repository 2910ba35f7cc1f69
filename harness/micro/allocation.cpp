// What counting adds to an allocation: a malloc and a free in a process without the counter, in one
// that has it preloaded but nothing to count into, and in one that is counted.
// spawnpool-alloc-bench is that process; by itself it measures the same in pairs.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include "harness/cost/allocation_counter.hpp"
#include "harness/cost/counter_library.hpp"
#include "harness/cost/test_child.hpp"
#include "harness/micro/heap_use.hpp"
#include "servers/cli/build_folder.hpp"

namespace {

using spawnpool::cost::AllocationCounter;
using spawnpool::cost::TestChild;

enum class Counter { plain, preloaded, counted };

// Seconds per malloc and free.
double measure(Counter kind, std::int64_t bytes) {
  const AllocationCounter counter(spawnpool::cost::counter_library());
  std::vector<std::string> environment = counter.environment();
  environment.resize(kind == Counter::plain ? 0 : kind == Counter::preloaded ? 1 : 2);
  TestChild child({spawnpool::cli::program_folder() / "spawnpool-alloc-bench", "--measure",
                   "--size", std::to_string(bytes)},
                  environment, counter.fd());
  child.release();
  const double nanoseconds = std::stod(child.read_line());
  const bool is_counted = counter.read().allocations > 1'000'000;
  if (is_counted != (kind == Counter::counted)) {
    throw std::runtime_error("the process was not counted as it was to be");
  }
  return nanoseconds * 1e-9;
}

void allocation(benchmark::State& state, Counter kind) {
  try {
    // A process does millions of them, and tells one's time.
    const double seconds = measure(kind, state.range(0));
    for ([[maybe_unused]] auto _ : state) {
      state.SetIterationTime(seconds);
    }
    spawnpool::micro::count_from_here();
    for (benchmark::IterationCount i = 0; i < state.iterations(); ++i) {
      void* block = std::malloc(static_cast<std::size_t>(state.range(0)));
      benchmark::DoNotOptimize(block);
      std::free(block);
    }
    spawnpool::micro::count_to_here();
  } catch (const std::exception& error) {
    state.SkipWithError(error.what());
  }
}

BENCHMARK_CAPTURE(allocation, plain, Counter::plain)
    ->ArgName("bytes")
    ->Arg(64)
    ->Arg(4096)
    ->UseManualTime();
BENCHMARK_CAPTURE(allocation, preloaded, Counter::preloaded)
    ->ArgName("bytes")
    ->Arg(64)
    ->Arg(4096)
    ->UseManualTime();
BENCHMARK_CAPTURE(allocation, counted, Counter::counted)
    ->ArgName("bytes")
    ->Arg(64)
    ->Arg(4096)
    ->UseManualTime();

}  // namespace
