// The real spawnpool-server as a child process, under limits of the test's choice.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "servers/testing/captured_log.hpp"

namespace spawnpool::testing {

// Ends the process with SIGKILL when destroyed before stop(). Throws std::runtime_error for
// everything that is not as it should be.
class ServerProcess {
 public:
  struct Limits {
    std::optional<rlim_t> open_files = {};  // soft and hard: the server takes what it may have
    bool unprivileged = false;  // as a user that RLIMIT_NPROC binds; root is exempt from it
  };

  // Returns when the server is ready.
  explicit ServerProcess(const std::vector<std::string>& options) : ServerProcess(options, {}) {}
  ServerProcess(const std::vector<std::string>& options, const Limits& limits);
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  std::uint16_t port() const { return port_; }
  pid_t pid() const { return pid_; }
  std::string log() const { return log_.text(); }

  std::size_t resident_kb() const;

  // Sets the soft limit of the running server for its user's processes and threads; without a
  // value, to what it was at the start.
  void limit_processes(std::optional<rlim_t> value) const;

  // Sends the signal; waits for the end, which must be with status 0. Returns the exit line.
  nlohmann::json stop(int signal = SIGTERM);

 private:
  std::string read_line();

  LogFile log_;
  Socket output_;  // the reading end of the server's standard output
  std::string unread_output_;
  pid_t pid_ = -1;
  std::uint16_t port_ = 0;
};

}  // namespace spawnpool::testing
