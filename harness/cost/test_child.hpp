// A child process for tests: held between fork and exec until release(), spoken to by lines over
// its standard input and output, ended with the object. Every wait is bounded.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace spawnpool::cost {

class TestChild {
 public:
  // `environment` is added to the test's own; `inherited_fd`, when not -1, stays open in the child.
  explicit TestChild(std::vector<std::string> arguments,
                     const std::vector<std::string>& environment = {}, int inherited_fd = -1) {
    std::array<int, 2> in{}, out{};
    if (pipe2(in.data(), O_CLOEXEC) != 0 || pipe2(out.data(), O_CLOEXEC) != 0) {
      throw std::runtime_error("pipe2 failed");
    }
    std::vector<std::string> variables = environment;
    for (char** variable = environ; *variable != nullptr; ++variable) {
      variables.emplace_back(*variable);
    }
    std::vector<char*> argv = pointers(arguments), envp = pointers(variables);
    pid_ = fork();
    if (pid_ < 0) {
      throw std::runtime_error("fork failed");
    }
    if (pid_ == 0) {
      char go = 0;
      dup2(in[0], STDIN_FILENO);
      dup2(out[1], STDOUT_FILENO);
      close(in[1]);
      if (inherited_fd >= 0) {
        fcntl(inherited_fd, F_SETFD, 0);
      }
      if (read(STDIN_FILENO, &go, 1) == 1) {
        execvpe(argv[0], argv.data(), envp.data());
      }
      _exit(127);
    }
    close(in[0]);
    close(out[1]);
    to_ = in[1];
    from_ = out[0];
  }

  ~TestChild() {
    kill();
    reap();
    close(to_);
    close(from_);
  }
  TestChild(const TestChild&) = delete;
  TestChild& operator=(const TestChild&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }

  void release() { send("!"); }

  // Sends a command line and waits for the line that answers it.
  std::string ask(const std::string& line) {
    send(line + "\n");
    return read_line();
  }

  std::string read_line() {
    std::string line;
    while (!line.ends_with('\n')) {
      const std::string more = read_some();
      if (more.empty()) {
        throw std::runtime_error("the child ended and left the line unfinished: '" + line + "'");
      }
      line += more;
    }
    return line;
  }

  std::string read_to_end() {
    std::string text;
    for (std::string more = read_some(); !more.empty(); more = read_some()) {
      text += more;
    }
    return text;
  }

  void kill() const {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
    }
  }

  // Waits for the end without collecting it: the child is a zombie then.
  void await_end() const {
    const int descriptor = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
    pollfd ended{.fd = descriptor, .events = POLLIN, .revents = 0};
    const int ready = poll(&ended, 1, patience_ms);
    close(descriptor);
    if (ready != 1) {
      throw std::runtime_error("the child does not end");
    }
  }

  // Waits for the end and returns the exit status, or 128 + the signal's number.
  int wait() {
    await_end();
    return reap();
  }

 private:
  static constexpr int patience_ms = 30'000;

  static std::vector<char*> pointers(std::vector<std::string>& strings) {
    std::vector<char*> result;
    result.reserve(strings.size() + 1);
    for (std::string& text : strings) {
      result.push_back(text.data());
    }
    result.push_back(nullptr);
    return result;
  }

  void send(const std::string& text) const {
    if (write(to_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
      throw std::runtime_error("the child does not read");
    }
  }

  [[nodiscard]] std::string read_some() const {
    pollfd readable{.fd = from_, .events = POLLIN, .revents = 0};
    if (poll(&readable, 1, patience_ms) != 1) {
      throw std::runtime_error("the child does not answer");
    }
    std::array<char, 4096> part{};
    const ssize_t got = read(from_, part.data(), part.size());
    return {part.data(), got > 0 ? static_cast<std::size_t>(got) : 0};
  }

  int reap() {
    int status = 0;
    if (pid_ > 0 && waitpid(std::exchange(pid_, -1), &status, 0) > 0) {
      return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    return -1;
  }

  pid_t pid_ = -1;
  int to_ = -1;
  int from_ = -1;
};

}  // namespace spawnpool::cost
