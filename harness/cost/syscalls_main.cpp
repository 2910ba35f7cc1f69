// spawnpool-syscalls: runs a command, whose system calls and those of its descendants go to a log.
//
// The process becomes the command, with its number and its parent, and another one traces it: who
// starts it has the command itself as a child, with no child that it does not know of.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <system_error>
#include <vector>

#include "harness/cost/syscall_tracer.hpp"
#include "servers/cli/cli.hpp"

namespace {

using namespace spawnpool;

constexpr const char* name = "spawnpool-syscalls";

// Says over the pipe with which error attaching ended, 0 when it has begun.
void trace(pid_t process, int log_fd, int told) {
  // A signal that the target sends to its group is not for the tracer.
  sigset_t all{};
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
  prctl(PR_SET_NAME, "spawnpool-trace");
  const auto tell = [told](int error) { return write(told, &error, sizeof error) == sizeof error; };
  try {
    dup2(log_fd, 0);
    cost::SyscallTracer tracer(process, 0);
    // Nothing of the target's may stay open here: who reads its output waits for the last writer.
    if (tell(0) && close_range(1, ~0U, 0) == 0) {
      tracer.run();
    }
  } catch (const std::system_error& error) {
    static_cast<void>(tell(error.code().value()));
  }
}

// Starts the tracer, as nobody's child. Returns the error with which attaching ended, or 0.
int start_tracer(int log_fd) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return errno;
  }
  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);  // where only ancestors may (Yama)
  const pid_t process = getpid();
  const pid_t between = fork();
  if (between == 0) {
    if (fork() == 0) {
      trace(process, log_fd, ends[1]);
    }
    _exit(0);
  }
  close(ends[1]);
  waitpid(between, nullptr, 0);
  int error = EAGAIN;  // it could not be started
  while (read(ends[0], &error, sizeof error) < 0 && errno == EINTR) {
  }
  close(ends[0]);
  prctl(PR_SET_PTRACER, 0);
  return error;
}

int run(int argc, char** argv) {
  CLI::App app(
      "Runs a command and writes its system calls to an open file, in the form of "
      "harness/cost/syscall_log.hpp.",
      name);
  int log_fd = -1;
  std::vector<std::string> command;
  app.add_option("--log", log_fd, "The open file's descriptor")->required();
  app.add_option("COMMAND", command, "The command and its arguments, after --")->required();
  if (const auto status = cli::parse(app, argc, argv)) {
    return *status;
  }
  if (fcntl(log_fd, F_SETFD, FD_CLOEXEC) != 0) {
    throw cli::UsageError("--log " + std::to_string(log_fd) + " is no open file");
  }
  if (const int error = start_tracer(log_fd); error != 0) {
    cli::print_error(name, "may not trace a process here (" +
                               std::generic_category().message(error) +
                               "): allow ptrace, in a container with --cap-add=SYS_PTRACE");
    return cli::exit_failure;
  }
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (std::string& argument : command) {
    arguments.push_back(argument.data());
  }
  arguments.push_back(nullptr);
  execvp(arguments.front(), arguments.data());
  throw cli::UsageError("cannot run '" + command.front() +
                        "': " + std::generic_category().message(errno));
}

}  // namespace

int main(int argc, char** argv) {
  return cli::run_main(name, [&] { return run(argc, argv); });
}
