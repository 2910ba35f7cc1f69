// spawnpool-server: one HTTP server of either model, for as long as it is wanted.
#include <sched.h>
#include <sys/resource.h>

#include <csignal>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "servers/cli/cli.hpp"
#include "servers/core/listener.hpp"
#include "servers/handlers.hpp"
#include "servers/options.hpp"
#include "servers/server.hpp"
#include "servers/status.hpp"

namespace {

int run(const spawnpool::ServerOptions& options) {
  // Blocked before the first thread is started, so that only sigwait below ever sees them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  // Every thread inherits it: one that is woken does not push aside the one that runs. A thread
  // wakes another for each connection, and the packets of a request wake one in the middle of
  // another's; both go on for less than a time slice anyway. Where it is refused, nothing is lost
  // but those switches.
  const sched_param no_priority{};
  sched_setscheduler(0, SCHED_BATCH, &no_priority);

  // As a program in Go does: each connection takes a descriptor, and the soft limit is low only for
  // those who call select(2).
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }

  spawnpool::Server server(options, spawnpool::make_routes());
  std::cout << spawnpool::ready_line(options, server.port()) << std::endl;
  int received = 0;
  while (sigwait(&signals, &received) == 0 && received == SIGUSR1) {
    std::cout << spawnpool::status_line(server) << std::endl;
  }
  const spawnpool::DrainReport drain = server.drain();
  std::cout << spawnpool::exit_line(options, server.counters(), drain) << std::endl;
  return spawnpool::cli::exit_ok;
}

}  // namespace

int main(int argc, char** argv) {
  constexpr std::string_view program = "spawnpool-server";
  try {
    spawnpool::ServerOptions options;
    if (const auto status = spawnpool::parse_options(argc, argv, options)) {
      return *status;
    }
    return run(options);
  } catch (const spawnpool::ListenError& error) {
    spawnpool::cli::print_error(program, error.what());
    return spawnpool::cli::exit_usage;
  } catch (const std::exception& error) {
    spawnpool::cli::print_error(program, error.what());
    return spawnpool::cli::exit_failure;
  }
}
