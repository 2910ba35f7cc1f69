// spawnpool-micro: Google Benchmark over the parts of a request's way. Takes Google Benchmark's own
// flags; the benchmarks register themselves. Allocations are counted unless benchmarks are
// repeated. Exit status: 0 they have run, those that found an error among them; 2 an unknown
// option, or a filter that fits no benchmark.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <string_view>

#include "harness/micro/heap_use.hpp"
#include "servers/cli/cli.hpp"

namespace {

// Google Benchmark asks for them in a run of its own, of 16 iterations at the most, and never while
// timing.
class MemoryManager final : public benchmark::MemoryManager {
 public:
  // Which Stop is pure, and whether the one with a pointer is there at all, differs
  // between 1.6, 1.7 and 1.8: so nothing here says `override`. NOLINTBEGIN(modernize-use-override)
  void Start() { spawnpool::micro::start_counting(); }
  void Stop(Result& result) {
    const spawnpool::micro::HeapUse use = spawnpool::micro::stop_counting();
    result.num_allocs = use.allocations;
    result.max_bytes_used = use.max_bytes;
  }
  void Stop(Result* result) { Stop(*result); }
  // NOLINTEND(modernize-use-override)
};

// Whether the flag or its variable in the environment asks for repetitions. Google Benchmark before
// 2025 keeps pointers to their memory results in a vector that grows: what it would print is what
// lies there by then.
bool may_repeat(int argc, char** argv) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): there are no other threads yet
  return std::getenv("BENCHMARK_REPETITIONS") != nullptr ||
         std::any_of(argv + 1, argv + argc, [](std::string_view argument) {
           return argument.starts_with("--benchmark_repetitions");
         });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--version") {
    std::cout << "spawnpool-micro " << spawnpool::cli::version() << '\n';
    return spawnpool::cli::exit_ok;
  }
  const bool counts = spawnpool::micro::counts_heap_use() && !may_repeat(argc, argv);
  benchmark::Initialize(&argc, argv);
  if (argc > 1) {
    spawnpool::cli::print_error("spawnpool-micro", std::string("unknown option '") + argv[1] +
                                                       "' (see spawnpool-micro --help)");
    return spawnpool::cli::exit_usage;
  }
  MemoryManager memory_manager;
  if (counts) {
    benchmark::RegisterMemoryManager(&memory_manager);
  }
  if (benchmark::RunSpecifiedBenchmarks() == 0) {  // it has said why
    spawnpool::cli::print_error("spawnpool-micro",
                                "nothing to run (see spawnpool-micro --benchmark_list_tests)");
    return spawnpool::cli::exit_usage;
  }
  benchmark::RegisterMemoryManager(nullptr);
  benchmark::Shutdown();
  return spawnpool::cli::exit_ok;
}
