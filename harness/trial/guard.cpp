#include "harness/trial/guard.hpp"

#include <fcntl.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): kill is POSIX's
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cerrno>
#include <chrono>
#include <fstream>
#include <iterator>
#include <system_error>

#include "harness/trial/processes.hpp"

namespace spawnpool::trial {
namespace {

// Kills whoever has `mark` in the environment it was started with. Returns whether there was
// anybody.
bool kill_marked(const std::string& mark) {
  const std::string entry = mark + '\0';
  bool found = false;
  for (const pid_t pid : processes()) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/environ", std::ios::binary);
    const std::string environment{std::istreambuf_iterator<char>(file), {}};
    const auto at = environment.find(entry);
    if (at == 0 || (at != std::string::npos && environment[at - 1] == '\0')) {
      kill(pid, SIGKILL);
      found = true;
    }
  }
  return found;
}

// The guard process: reads group numbers, negative ones to forget, until the trial is gone.
[[noreturn]] void stand_guard(int pipe_end, const std::string& mark) {
  setsid();
  prctl(PR_SET_NAME, "spawnpool-guard");
  // Nothing of the trial's may stay open here: who reads its stdout waits for the last writer.
  dup2(pipe_end, 0);
  close_range(1, ~0U, 0);

  std::set<pid_t> groups;
  pid_t group = 0;
  ssize_t got = 0;
  while ((got = read(0, &group, sizeof group)) != 0) {
    if (got < 0 && errno != EINTR) {
      break;
    }
    if (got != static_cast<ssize_t>(sizeof group)) {
      continue;
    }
    if (group > 0) {
      groups.insert(group);
    } else {
      groups.erase(-group);
    }
  }
  for (const pid_t registered : groups) {
    kill(-registered, SIGKILL);
  }
  // Once more as long as there is somebody: he may have forked meanwhile.
  for (int i = 0; kill_marked(mark) && i < 1000; ++i) {
    usleep(1000);
  }
  _exit(0);
}

}  // namespace

Guard::Guard()
    : mark_("SPAWNPOOL_TRIAL=" + std::to_string(getpid()) + "." +
            std::to_string(std::chrono::system_clock::now().time_since_epoch().count())) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    throw std::system_error(errno, std::generic_category(), "pipe2");
  }
  UniqueFd read_end(ends[0]);
  pipe_ = UniqueFd(ends[1]);
  // Blocked before it exists: the guard must outlive every signal but SIGKILL.
  sigset_t all{};
  sigset_t before{};
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  pid_ = fork();
  if (pid_ == 0) {
    stand_guard(read_end.get(), mark_);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid_ < 0) {
    throw std::system_error(errno, std::generic_category(), "fork");
  }
}

Guard::~Guard() {
  pipe_.reset();
  waitpid(pid_, nullptr, 0);
}

void Guard::add(pid_t group) {
  groups_.insert(group);
  tell(group);
}

void Guard::remove(pid_t group) {
  groups_.erase(group);
  tell(-group);
}

void Guard::tell(pid_t signed_group) {
  // Far below PIPE_BUF: written whole or not at all. A guard that somebody killed leaves the trial
  // without its net, which is no reason to fail it.
  const ssize_t written = write(pipe_.get(), &signed_group, sizeof signed_group);
  static_cast<void>(written);
}

}  // namespace spawnpool::trial
