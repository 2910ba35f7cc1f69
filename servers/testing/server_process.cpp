#include "servers/testing/server_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <system_error>

#include "servers/cli/build_folder.hpp"
#include "servers/testing/client.hpp"

namespace spawnpool::testing {
namespace {

// A user with no processes of its own; it needs no entry in the user database.
constexpr uid_t some_user = 54321;

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

// Takes root's place; anyone else stays who they are. Returns whether it succeeded.
bool become_some_user() {
  return geteuid() != 0 || (setresgid(some_user, some_user, some_user) == 0 &&
                            setresuid(some_user, some_user, some_user) == 0);
}

// Between fork and exec: system calls only, since the test may have threads.
[[noreturn]] void become_server(int binary, char** argv, int output, int log, pid_t parent,
                                const ServerProcess::Limits& limits) {
  const auto must = [](bool done) {
    if (!done) {
      _exit(127);
    }
  };
  must(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent);  // never left behind
  must(dup2(output, STDOUT_FILENO) >= 0 && dup2(log, STDERR_FILENO) >= 0);
  if (limits.open_files) {
    const rlimit files{.rlim_cur = *limits.open_files, .rlim_max = *limits.open_files};
    must(setrlimit(RLIMIT_NOFILE, &files) == 0);
  }
  if (limits.unprivileged) {
    must(become_some_user());
    must(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);  // a change of user takes it back
  }
  // By descriptor: that user need not be able to reach the file.
  fexecve(binary, argv, environ);
  _exit(127);
}

}  // namespace

ServerProcess::ServerProcess(const std::vector<std::string>& options, const Limits& limits) {
  const std::string path = cli::built("bin/spawnpool-server");
  const Socket binary(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!binary) {
    fail(path.c_str());
  }
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    fail("pipe");
  }
  output_ = Socket(ends[0]);
  const Socket write_end(ends[1]);

  std::vector<std::string> arguments = {"spawnpool-server"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) {
    argv.push_back(argument.data());
  }
  argv.push_back(nullptr);

  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) {
    fail("fork");
  }
  if (pid_ == 0) {
    become_server(binary.fd(), argv.data(), write_end.fd(), log_.fd(), parent, limits);
  }
  const_cast<Socket&>(write_end).close();
  port_ = nlohmann::json::parse(read_line()).at("port").get<std::uint16_t>();
}

ServerProcess::~ServerProcess() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
}

// One line of the server's standard output; empty at its end.
std::string ServerProcess::read_line() {
  for (;;) {
    if (const std::size_t end = unread_output_.find('\n'); end != std::string::npos) {
      std::string line = unread_output_.substr(0, end);
      unread_output_.erase(0, end + 1);
      return line;
    }
    pollfd polled{output_.fd(), POLLIN, 0};
    constexpr auto bound = std::chrono::duration_cast<std::chrono::milliseconds>(patience);
    if (poll(&polled, 1, static_cast<int>(bound.count())) != 1) {
      throw std::runtime_error("the server says nothing; its log: " + log());
    }
    std::array<char, 4096> part;
    const ssize_t n = read(output_.fd(), part.data(), part.size());
    if (n <= 0) {
      throw std::runtime_error("the server ended without a line; its log: " + log());
    }
    unread_output_.append(part.data(), static_cast<std::size_t>(n));
  }
}

std::size_t ServerProcess::resident_kb() const {
  std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
  for (std::string word; status >> word;) {
    if (word == "VmRSS:") {
      std::size_t value = 0;
      status >> value;
      return value;
    }
  }
  throw std::runtime_error("no VmRSS: is the server still there? Its log: " + log());
}

void ServerProcess::limit_processes(std::optional<rlim_t> value) const {
  rlimit limit{};
  getrlimit(RLIMIT_NPROC, &limit);  // inherited by the server
  limit.rlim_cur = value.value_or(limit.rlim_cur);
  // By the server's own user: another's limits are beyond a root without CAP_SYS_RESOURCE.
  const pid_t helper = fork();
  if (helper == 0) {
    _exit(become_some_user() && prlimit(pid_, RLIMIT_NPROC, &limit, nullptr) == 0 ? 0 : 1);
  }
  int status = -1;
  if (helper < 0 || waitpid(helper, &status, 0) != helper || status != 0) {
    throw std::runtime_error("cannot set the limit of processes");
  }
}

nlohmann::json ServerProcess::stop(int signal) {
  kill(pid_, signal);
  const std::string line = read_line();
  int status = -1;
  if (!eventually([&] { return waitpid(pid_, &status, WNOHANG) == pid_; })) {
    throw std::runtime_error("the server does not end; its log: " + log());
  }
  pid_ = -1;
  if (status != 0) {
    throw std::runtime_error("the server ended with wait status " + std::to_string(status) +
                             "; its log: " + log());
  }
  return nlohmann::json::parse(line);
}

}  // namespace spawnpool::testing
