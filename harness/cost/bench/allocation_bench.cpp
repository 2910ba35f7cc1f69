// What counting adds to an allocation: pairs of malloc and free in processes that take turns, one
// plain, one with the interposer preloaded but no page to count into, one counted.
#include <unistd.h>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "harness/cost/allocation_counter.hpp"
#include "harness/cost/counter_library.hpp"
#include "harness/cost/test_child.hpp"
#include "servers/cli/cli.hpp"

namespace spawnpool::cost {
namespace {

constexpr std::string_view name = "spawnpool-alloc-bench";

struct Options {
  unsigned rounds = 20;
  unsigned threads = 1;
  std::size_t size = 64;
  std::string library = counter_library();
  bool measure = false;  // in a process that was started for it
};

// Nanoseconds per pair in the calling thread, in the fastest of many chunks: what else runs on the
// machine only ever adds.
double measure_pairs(std::size_t size) {
  using Clock = std::chrono::steady_clock;
  constexpr int chunks = 400;
  constexpr int pairs = 10'000;
  double fastest = std::numeric_limits<double>::infinity();
  for (int chunk = 0; chunk < chunks; ++chunk) {
    const auto begin = Clock::now();
    for (int i = 0; i < pairs; ++i) {
      void* block = malloc(size);
      __asm__ volatile("" : "+r"(block) : : "memory");  // else the pair is optimised away
      free(block);
    }
    const std::chrono::duration<double, std::nano> time = Clock::now() - begin;
    fastest = std::min(fastest, time.count() / pairs);
  }
  return fastest;
}

// The mean over threads that allocate at the same time.
double measure(const Options& options) {
  std::vector<double> results(options.threads);
  std::barrier all_there(options.threads);
  {
    std::vector<std::jthread> threads;
    threads.reserve(options.threads);
    for (double& result : results) {
      threads.emplace_back([&] {
        all_there.arrive_and_wait();
        result = measure_pairs(options.size);
      });
    }
  }
  return std::accumulate(results.begin(), results.end(), 0.0) / options.threads;
}

double measure_in_child(const Options& options, const std::vector<std::string>& environment,
                        int fd) {
  TestChild child({"/proc/self/exe", "--measure", "--size", std::to_string(options.size),
                   "--threads", std::to_string(options.threads)},
                  environment, fd);
  child.release();
  return std::stod(child.read_line());
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

nlohmann::ordered_json differences(const std::vector<double>& with,
                                   const std::vector<double>& without) {
  std::vector<double> over(with.size());
  std::transform(with.begin(), with.end(), without.begin(), over.begin(), std::minus<>());
  const auto [least, most] = std::minmax_element(over.begin(), over.end());
  return {{"median", median(over)}, {"min", *least}, {"max", *most}};
}

void run(const Options& options) {
  std::vector<double> plain;
  std::vector<double> preloaded;
  std::vector<double> counted;
  for (unsigned round = 0; round < options.rounds; ++round) {
    const AllocationCounter counter(options.library);
    const std::vector<std::string> environment = counter.environment();
    plain.push_back(measure_in_child(options, {}, -1));
    preloaded.push_back(measure_in_child(options, {environment.front()}, -1));
    counted.push_back(measure_in_child(options, environment, counter.fd()));
    if (counter.read().allocations < 1'000'000) {
      throw std::runtime_error(
          "the allocations were not counted: build the target "
          "spawnpool_alloc, and this program with it");
    }
  }
  const nlohmann::ordered_json result = {
      {"rounds", options.rounds},
      {"threads", options.threads},
      {"size_bytes", options.size},
      {"ns_per_malloc_and_free",
       {{"plain", median(plain)}, {"preloaded", median(preloaded)}, {"counted", median(counted)}}},
      {"ns_over_plain",
       {{"preloaded", differences(preloaded, plain)}, {"counted", differences(counted, plain)}}}};
  std::cout << result.dump(2) << '\n';
}

int run_program(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Measures what counting allocations adds to a malloc and a free. A JSON report goes "
      "to standard output.",
      std::string(name));
  app.add_option("--rounds", options.rounds, "Processes of each kind, in turns")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app.add_option("--threads", options.threads, "Threads that allocate at the same time")
      ->check(CLI::Range(1, 1'000))
      ->capture_default_str();
  app.add_option("--size", options.size, "Bytes of each allocation")
      ->check(CLI::Range(1, 1'000'000'000))
      ->capture_default_str();
  app.add_option("--library", options.library, "The interposer")->capture_default_str();
  app.add_flag("--measure", options.measure)->group("");  // hidden: for the processes it starts
  if (const auto status = cli::parse(app, argc, argv)) {
    return *status;
  }
  if (options.measure) {
    std::cout << measure(options) << std::endl;
  } else {
    run(options);
  }
  return cli::exit_ok;
}

}  // namespace
}  // namespace spawnpool::cost

int main(int argc, char** argv) {
  return spawnpool::cli::run_main(spawnpool::cost::name, [&] {
    try {
      return spawnpool::cost::run_program(argc, argv);
    } catch (const std::invalid_argument& error) {  // of a library that is none
      throw spawnpool::cli::UsageError(error.what());
    }
  });
}
