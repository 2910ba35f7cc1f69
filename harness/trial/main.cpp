// spawnpool-trial: one trial, from a specification (JSON) to a TrialResult (JSON, one line on
// stdout). Exits 0: valid; 1: invalid or failed, with the result printed all the same; 2: a mistake
// of the user's, without a result; 130 and 143 after SIGINT and SIGTERM, without a result.
#include <fcntl.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): SIGPIPE of POSIX
#include <sys/prctl.h>
#include <unistd.h>

#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

#include "harness/cost/counter_library.hpp"
#include "harness/trial/child_process.hpp"
#include "harness/trial/cpus.hpp"
#include "harness/trial/guard.hpp"
#include "harness/trial/spec.hpp"
#include "harness/trial/trial.hpp"
#include "harness/trial/waiter.hpp"
#include "servers/cli/build_folder.hpp"
#include "servers/cli/cli.hpp"

namespace {

using namespace spawnpool;

// Who starts us may have closed these; a pipe or socket that took their place would be written
// over.
void open_standard_descriptors() {
  int fd = 0;
  do {
    fd =
        open("/dev/null", O_RDWR);  // NOLINT(android-cloexec-open): the standard ones are inherited
  } while (fd >= 0 && fd <= 2);
  close(fd);
}

// Ends with whoever started us, even when that was killed.
bool end_with_parent() {
  const pid_t parent = getppid();
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  return getppid() == parent;
}

std::string read_all(const std::string& file) {
  if (file == "-") {
    return {std::istreambuf_iterator<char>(std::cin), {}};
  }
  std::ifstream stream(file);
  std::string text{std::istreambuf_iterator<char>(stream), {}};
  if (!stream) {
    throw cli::UsageError("cannot read '" + file + "'; give a file or - for standard input");
  }
  return text;
}

trial::Programs find_programs(const std::string& driver) {
  const std::filesystem::path bin = cli::program_folder();
  trial::Programs programs;
  programs.server = bin / "spawnpool-server";
  programs.syscall_tracer = bin / "spawnpool-syscalls";
  programs.counter_library = cost::counter_library();
  const auto generator = trial::find_program(driver == "wrk" ? "wrk" : bin / "spawnpool-load");
  if (!generator) {
    throw cli::UsageError(
        driver == "wrk" ? "wrk is not installed; run scripts/setup.sh or apt-get install wrk"
                        : "spawnpool-load is not in " + bin.string() +
                              "; build it: cmake --build --preset release --target spawnpool-load");
  }
  programs.generator = *generator;
  return programs;
}

int run(const std::string& file) {
  const trial::TrialSpec spec = trial::read_spec(read_all(file));
  const std::vector<int> allowed = trial::affinity_mask();
  const trial::Cpus cpus = trial::choose_cpus(spec.cpus, allowed);
  const trial::Programs programs = find_programs(spec.driver);

  prctl(PR_SET_CHILD_SUBREAPER, 1);  // what a target lets loose becomes ours to end
  signal(SIGPIPE, SIG_IGN);
  trial::Waiter waiter;
  trial::Guard guard;
  trial::pin_self(trial::bystander_cpus(cpus, allowed));
  const trial::TrialResult result = trial::run_trial(spec, cpus, programs, waiter, guard);
  std::cout << trial::to_json(result) << '\n' << std::flush;
  return std::cout && result.status == trial::Status::valid ? cli::exit_ok : cli::exit_failure;
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_descriptors();
  CLI::App app("Runs one trial: starts a server, checks it, loads it, and prints what that cost.",
               "spawnpool-trial");
  std::string file;
  app.add_option("SPEC", file, "the trial's specification, a JSON file or - for standard input")
      ->required();
  if (const auto status = cli::parse(app, argc, argv)) {
    return *status;
  }
  if (!end_with_parent()) {
    return 128 + SIGTERM;
  }
  try {
    return run(file);
  } catch (const trial::Interrupted& interrupted) {
    return 128 + interrupted.signal();
  } catch (const cli::UsageError& error) {
    cli::print_error(app.get_name(), error.what());
    return cli::exit_usage;
  } catch (const std::exception& error) {
    cli::print_error(app.get_name(), error.what());
    return cli::exit_failure;
  }
}
