// spawnpool-micro: Google Benchmark over the parts of a request's way. Takes Google Benchmark's own
// flags; the benchmarks register themselves.
#include <benchmark/benchmark.h>

#include <iostream>
#include <string_view>

#include "servers/cli/cli.hpp"

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--version") {
    std::cout << "spawnpool-micro " << spawnpool::cli::version() << '\n';
    return spawnpool::cli::exit_ok;
  }
  benchmark::Initialize(&argc, argv);
  if (argc > 1) {
    spawnpool::cli::print_error("spawnpool-micro", std::string("unknown option '") + argv[1] +
                                                       "' (see spawnpool-micro --help)");
    return spawnpool::cli::exit_usage;
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return spawnpool::cli::exit_ok;
}
