// spawnpool-load: loads an HTTP/1.1 server and tells what came of it. Exits 0; 1 when a --fail-if
// holds; 2 after a mistake of the user's; 3 when the measurement is invalid; 130 and 143 after
// SIGINT and SIGTERM, with the report of what there was.
#include <signal.h>  // NOLINT(modernize-deprecated-headers): sigaction is POSIX's
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iomanip>
#include <iostream>

#include "harness/load/judgement.hpp"
#include "harness/load/options.hpp"
#include "harness/load/preflight.hpp"
#include "harness/load/report.hpp"
#include "harness/load/run.hpp"
#include "harness/load/saturation.hpp"
#include "harness/load/summary.hpp"
#include "servers/cli/cli.hpp"

namespace {

using namespace spawnpool;

constexpr int exit_invalid = 3;

std::atomic<bool> stop{false};
std::atomic<int> stop_signal{0};

void handle_signals() {
  struct sigaction action {};
  action.sa_handler = [](int number) {
    stop_signal = number;
    stop = true;
  };
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

load::LoadHooks make_hooks(const load::LoadOptions& options) {
  load::LoadHooks hooks;
  if (options.events) {
    const auto event = [](const char* name) {
      return [name] { std::cout << R"({"event":")" << name << "\"}\n" << std::flush; };
    };
    hooks.connected = event("connected");
    hooks.window_begin = event("window-begin");
    hooks.window_end = event("window-end");
  }
  if (!options.quiet && isatty(STDERR_FILENO) != 0) {
    hooks.live = [before = std::uint64_t{0}](std::chrono::nanoseconds passed,
                                             std::uint64_t answered, std::uint64_t errors) mutable {
      std::cerr << '\r' << std::fixed << std::setprecision(0)
                << std::chrono::duration<double>(passed).count() << " s: " << answered - before
                << " answers per second, " << errors << " errors   " << std::flush;
      before = answered;
    };
    hooks.window_end = [next = hooks.window_end] {
      std::cerr << "\r\x1b[K";
      if (next) {
        next();
      }
    };
  }
  return hooks;
}

// False when the report could not be written.
bool write_report(const std::string& file, const std::string& report) {
  if (file == "-") {
    std::cout << report << '\n' << std::flush;
    return static_cast<bool>(std::cout);
  }
  std::ofstream out(file);
  out << report << '\n' << std::flush;
  return static_cast<bool>(out);
}

int run(const load::LoadOptions& options) {
  load::check_limits(options.spec, load::take_limits(options.spec));
  load::check_sources(options.spec);
  load::check_reachable(options.spec);
  if (!options.json.empty() && options.json != "-" && !std::ofstream(options.json, std::ios::app)) {
    throw cli::UsageError("--json: cannot write '" + options.json + "'");
  }
  handle_signals();
  load::LoadSpec spec = options.spec;
  std::optional<load::Saturation> saturation;
  std::ostream& words = options.json == "-" || options.events ? std::cerr : std::cout;
  if (options.saturation) {
    constexpr double most_rps = 1e8;
    saturation = load::search_saturation(
        spec.open_loop->rate, most_rps,
        [&](double rate) { return load::try_rate(spec, *options.saturation, rate, stop); },
        [] { return stop.load(); });
    if (!options.quiet) {
      load::print_saturation(words, *options.saturation, *saturation);
    }
    if (saturation->rate_rps) {
      spec.open_loop->rate = *saturation->rate_rps;
    }
  }
  const load::LoadOutcome outcome = load::run_load(spec, stop, make_hooks(options));
  const std::vector<load::Doubt> doubts = load::judge(spec, outcome, stop);
  if (!options.quiet) {
    load::print_summary(words, spec, outcome, doubts);
  }
  if (!options.json.empty() &&
      !write_report(options.json, load::to_json(options, outcome, doubts, saturation).dump())) {
    throw std::runtime_error("cannot write the report to '" + options.json + "'");
  }
  if (stop) {
    return 128 + stop_signal;
  }
  if (!doubts.empty()) {
    return exit_invalid;
  }
  int status = cli::exit_ok;
  for (const load::Condition& condition : options.fail_if) {
    if (condition.holds(outcome)) {
      cli::print_error("spawnpool-load", "failed: " + condition.text);
      status = cli::exit_failure;
    }
  }
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  load::LoadOptions options;
  if (const auto status = load::parse_options(argc, argv, options)) {
    return *status;
  }
  return cli::run_main(
      "spawnpool-load", [&] { return run(options); }, exit_invalid);
}
