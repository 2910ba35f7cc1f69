#include "harness/trial/child_process.hpp"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): kill is POSIX's
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <string_view>
#include <system_error>

#include "harness/trial/processes.hpp"

namespace spawnpool::trial {
namespace {

using namespace std::chrono_literals;

// How long the kernel may take to end what SIGKILL was sent to (a core dump, a slow unmap).
constexpr auto kill_grace = 5s;

std::string environment_value(std::string_view name) {
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (text.starts_with(name) && text.substr(name.size()).starts_with('=')) {
      return std::string(text.substr(name.size() + 1));
    }
  }
  return {};
}

// Ours with `extra` on top.
std::vector<std::string> merged_environment(const std::vector<std::string>& extra) {
  std::vector<std::string> merged;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::string_view name = text.substr(0, text.find('='));
    if (std::none_of(extra.begin(), extra.end(), [name](const std::string& set) {
          return std::string_view(set).substr(0, set.find('=')) == name;
        })) {
      merged.emplace_back(text);
    }
  }
  merged.insert(merged.end(), extra.begin(), extra.end());
  return merged;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  result.reserve(strings.size() + 1);
  for (std::string& string : strings) {
    result.push_back(string.data());
  }
  result.push_back(nullptr);
  return result;
}

// Everything the child needs after fork, made before it: between fork and exec nothing may be
// called that is not async-signal-safe, since the trial might have had a second thread that held a
// lock.
struct Launch {
  std::string path;
  std::vector<char*> argv;
  std::vector<char*> environment;
  const std::vector<int>* inherit = nullptr;
  cpu_set_t cpus{};
  bool pinned = false;
  int in = -1;
  int out = -1;
  int err = -1;
  int go = -1;
  int failure = -1;
  pid_t parent = -1;
};

[[noreturn]] void execute(const Launch& launch) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // for the time until the guard has been told
  if (getppid() != launch.parent) {
    _exit(127);
  }

  struct sigaction initial {};
  initial.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) {
    sigaction(number, &initial, nullptr);
  }
  sigset_t none{};
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);

  bool good = !launch.pinned || sched_setaffinity(0, sizeof launch.cpus, &launch.cpus) == 0;
  good = good && dup2(launch.in, 0) == 0 && dup2(launch.out, 1) == 1 && dup2(launch.err, 2) == 2;
  for (const int fd : *launch.inherit) {
    good = good && fcntl(fd, F_SETFD, 0) == 0;
  }

  char ready = 0;
  if (good && read(launch.go, &ready, 1) != 1) {
    _exit(127);  // the trial is gone
  }
  if (good) {
    execve(launch.path.c_str(), launch.argv.data(), launch.environment.data());
  }
  const int error = errno;
  const ssize_t written = write(launch.failure, &error, sizeof error);
  _exit(written < 0 ? 126 : 127);
}

// A pipe above the standard descriptors, so that dup2 onto those cannot destroy it.
std::pair<UniqueFd, UniqueFd> high_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    throw std::system_error(errno, std::generic_category(), "pipe2");
  }
  const UniqueFd low_read(ends[0]);
  const UniqueFd low_write(ends[1]);
  UniqueFd read_end(fcntl(low_read.get(), F_DUPFD_CLOEXEC, 3));
  UniqueFd write_end(fcntl(low_write.get(), F_DUPFD_CLOEXEC, 3));
  return {std::move(read_end), std::move(write_end)};
}

}  // namespace

bool ExitStatus::signalled() const {
  return WIFSIGNALED(wait_status);
}

int ExitStatus::signal() const {
  return signalled() ? WTERMSIG(wait_status) : 0;
}

std::string ExitStatus::text() const {
  if (!signalled()) {
    return "exited with status " + std::to_string(WEXITSTATUS(wait_status));
  }
  const char* const name = sigabbrev_np(signal());
  return name != nullptr ? "was killed by SIG" + std::string(name)
                         : "was killed by signal " + std::to_string(signal());
}

std::optional<std::string> find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    return access(name.c_str(), X_OK) == 0 ? std::optional(name) : std::nullopt;
  }
  const std::string path = environment_value("PATH");
  std::string_view left = path.empty() ? std::string_view("/usr/local/bin:/usr/bin:/bin") : path;
  while (!name.empty()) {
    const std::size_t colon = left.find(':');
    const std::string_view folder = left.substr(0, colon);
    const std::string candidate = (folder.empty() ? "." : std::string(folder)) + "/" + name;
    if (access(candidate.c_str(), X_OK) == 0) {
      return candidate;
    }
    if (colon == std::string_view::npos) {
      break;
    }
    left.remove_prefix(colon + 1);
  }
  return std::nullopt;
}

ChildProcess::ChildProcess(Waiter& waiter, Guard& guard, const ChildOptions& options)
    : waiter_(waiter), guard_(guard), out_(waiter, options.keep_stdout), err_(waiter, 64 << 10) {
  const auto path = find_program(options.argv.at(0));
  if (!path) {
    throw StartError("'" + options.argv[0] + "' is not there or not executable");
  }

  std::vector<std::string> arguments = options.argv;
  std::vector<std::string> environment = options.environment;
  environment.push_back(guard.mark());
  environment = merged_environment(environment);
  Launch launch;
  launch.path = *path;
  launch.argv = pointers(arguments);
  launch.environment = pointers(environment);
  launch.inherit = &options.inherit;
  launch.pinned = !options.cpus.empty();
  for (const int cpu : options.cpus) {
    CPU_SET(static_cast<unsigned>(cpu), &launch.cpus);
  }

  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  const UniqueFd err_end = err_.open();
  const UniqueFd out_end = options.capture_stdout ? out_.open() : UniqueFd();
  auto [go_read, go_write] = high_pipe();
  auto [failure_read, failure_write] = high_pipe();
  launch.in = null.get();
  launch.out = out_end ? out_end.get() : null.get();
  launch.err = err_end.get();
  launch.go = go_read.get();
  launch.failure = failure_write.get();
  launch.parent = getpid();

  pid_ = fork();
  if (pid_ < 0) {
    throw std::system_error(errno, std::generic_category(), "fork");
  }
  if (pid_ == 0) {
    execute(launch);
  }

  try {
    setpgid(pid_, pid_);  // whichever of the two comes first
    guard_.add(pid_);
    pidfd_ = UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
    if (!pidfd_) {
      throw std::system_error(errno, std::generic_category(), "pidfd_open");
    }

    if (options.before_exec) {
      options.before_exec(pid_);
    }
    go_read.reset();
    failure_write.reset();
    const char go = 1;
    int error = 0;
    if (write(go_write.get(), &go, 1) != 1) {
      error = errno;
    }
    // End of file means that exec closed the other end.
    if (!waiter_.wait(failure_read.get(), POLLIN, Clock::now() + kill_grace)) {
      throw StartError("'" + options.argv[0] + "' did not start within 5 s");
    }
    if (read(failure_read.get(), &error, sizeof error) != 0) {
      throw StartError("'" + *path + "': " + std::generic_category().message(error));
    }
  } catch (...) {
    kill_group();
    throw;
  }
}

ChildProcess::~ChildProcess() {
  kill_group();
}

bool ChildProcess::running() const {
  pollfd one{pidfd_.get(), POLLIN, 0};
  return !status_ && poll(&one, 1, 0) == 0;
}

void ChildProcess::signal(int number) const {
  if (!status_) {
    kill(pid_, number);
  }
}

std::optional<ExitStatus> ChildProcess::wait_exit(Clock::time_point deadline) {
  if (!status_ && !waiter_.wait(pidfd_.get(), POLLIN, deadline)) {
    return std::nullopt;
  }
  kill_group();
  return status_;
}

ChildProcess::Stopped ChildProcess::stop(std::chrono::nanoseconds grace) {
  bool forced = false;
  if (running()) {
    signal(SIGTERM);
    forced = !waiter_.wait(pidfd_.get(), POLLIN, Clock::now() + grace);
  }
  kill_group();
  return {status_.value_or(ExitStatus{SIGKILL}), forced};
}

// Waits without the waiter: this is also what runs while an interruption unwinds the stack.
void ChildProcess::kill_group() {
  if (status_ || pid_ <= 0) {
    return;
  }
  // The leader is not reaped yet, so the number is still its own. One signal is enough: the kernel
  // lets no member fork while a SIGKILL is pending.
  kill(-pid_, SIGKILL);
  kill(pid_, SIGKILL);  // in case it had not yet made its group
  const auto deadline = Clock::now() + kill_grace;
  if (pidfd_) {
    pollfd one{pidfd_.get(), POLLIN, 0};
    while (poll(&one, 1, 5000) < 0 && errno == EINTR) {
    }
  }
  ExitStatus status{SIGKILL};
  pid_t reaped = 0;
  // Where it is traced, its tracer, which is of the group, has to go before its end is ours to see.
  while ((reaped = waitpid(pid_, &status.wait_status, pidfd_ ? WNOHANG : 0)) == 0 ||
         (reaped < 0 && errno == EINTR)) {
    if (Clock::now() >= deadline) {
      break;
    }
    usleep(500);
  }
  status_ = status;
  err_.drain();
  out_.drain();
  if (reaped != pid_) {
    return;  // unkillable (in the kernel): the guard keeps its number
  }
  // Members whose parent died become ours, since the trial is a subreaper.
  while (Clock::now() < deadline) {
    const pid_t member = waitpid(-pid_, nullptr, WNOHANG);
    if (member < 0 && errno == ECHILD && kill(-pid_, 0) != 0) {
      break;
    }
    if (member <= 0) {
      usleep(500);
    }
  }
  guard_.remove(pid_);
  if (guard_.groups().empty()) {
    kill_adopted(guard_.pid(), deadline);
  }
}

}  // namespace spawnpool::trial
