// Runs spawnpool-trial as its users do, for tests.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "harness/trial/child_process.hpp"

namespace spawnpool::trial::testing {

// A folder that goes with its owner.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  // Writes a file and returns its path.
  std::string write(const std::string& name, const std::string& text,
                    bool executable = false) const;

 private:
  std::string path_;
};

// A specification that runs the fixture server with `options` on a free port; short, and valid
// unless the options say otherwise.
nlohmann::json fixture_spec(const std::vector<std::string>& options = {});

// The fixture server's program, and the folder of the executables that are built.
std::string fixture_program();
std::string bin_folder();

// Waits up to 20 s until `condition` holds; returns whether it does.
bool await(const std::function<bool()>& condition);

// Whether the process has ended (it may still have to be waited for).
bool gone(pid_t pid);

// The process's descendants, those that have ended left out, with their names as in /proc/PID/comm.
std::vector<std::pair<pid_t, std::string>> descendants(pid_t pid);

struct Outcome {
  ExitStatus status;
  std::string out;
  std::vector<std::string> err;
  nlohmann::json result;  // discarded when stdout is no JSON
  // The codes of the result's reasons.
  std::vector<std::string> codes() const;
};

// spawnpool-trial at work.
class TrialProcess {
 public:
  // `program`: another copy of it than that in bin_folder().
  explicit TrialProcess(const std::string& spec, const std::vector<std::string>& environment = {},
                        const std::string& program = bin_folder() + "/spawnpool-trial");
  pid_t pid() const { return process_->pid(); }
  // The pid of its descendant with that name, once there is one; 0 after 20 s.
  pid_t await_descendant(const std::string& name) const;
  // Waits for its end, up to 40 s.
  Outcome wait();

 private:
  TemporaryFolder folder_;
  Waiter waiter_;
  Guard guard_;
  std::unique_ptr<ChildProcess> process_;
};

Outcome run_trial(const nlohmann::json& spec, const std::vector<std::string>& environment = {});

}  // namespace spawnpool::trial::testing
