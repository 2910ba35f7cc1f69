#include "harness/trial/testing/trial_process.hpp"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "harness/trial/processes.hpp"
#include "servers/cli/build_folder.hpp"

namespace spawnpool::trial::testing {

using namespace std::chrono_literals;

TemporaryFolder::TemporaryFolder()
    : path_(std::filesystem::temp_directory_path() / "spawnpool-test-XXXXXX") {
  if (mkdtemp(path_.data()) == nullptr) {
    throw std::runtime_error("mkdtemp " + path_);
  }
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryFolder::write(const std::string& name, const std::string& text,
                                   bool executable) const {
  std::ofstream(file(name), std::ios::binary) << text;
  if (executable) {
    std::filesystem::permissions(file(name), std::filesystem::perms::owner_all);
  }
  return file(name);
}

nlohmann::json fixture_spec(const std::vector<std::string>& options) {
  std::vector<std::string> command = {fixture_program(), "--port", "{port}"};
  command.insert(command.end(), options.begin(), options.end());
  return {{"target", {{"name", "fixture"}, {"command", command}}},
          {"scenario",
           {{"name", "keep-alive"},
            {"request", {{"method", "GET"}, {"path", "/"}}},
            {"expect", {{"status", 200}, {"body", "Hello, World!"}}},
            {"requests_per_connection", 0}}},
          {"point", {{"connections", 4}}},
          {"driver", "wrk"},
          {"warmup", "0s"},
          {"duration", "200ms"},
          {"timeout", "2s"}};
}

std::string fixture_program() {
  return cli::built("tests/spawnpool-fixture-server");
}

std::string bin_folder() {
  return cli::built("bin");
}

bool await(const std::function<bool()>& condition) {
  for (const auto deadline = Clock::now() + 20s; Clock::now() < deadline; usleep(2000)) {
    if (condition()) {
      return true;
    }
  }
  return false;
}

bool gone(pid_t pid) {
  const auto stat = read_task_stat(std::to_string(pid));
  return !stat || stat->state == 'Z' || stat->state == 'X';
}

std::vector<std::pair<pid_t, std::string>> descendants(pid_t pid) {
  std::vector<std::pair<pid_t, std::string>> found;
  std::vector<pid_t> parents{pid};
  while (!parents.empty()) {
    const pid_t parent = parents.back();
    parents.pop_back();
    for (const pid_t candidate : processes()) {
      const auto stat = read_task_stat(std::to_string(candidate));
      if (!stat || stat->parent != parent || stat->state == 'Z') {
        continue;
      }
      std::ifstream comm("/proc/" + std::to_string(candidate) + "/comm");
      std::string name;
      std::getline(comm, name);
      found.emplace_back(candidate, name);
      parents.push_back(candidate);
    }
  }
  return found;
}

std::vector<std::string> Outcome::codes() const {
  std::vector<std::string> codes;
  for (const auto& reason : result.at("reasons")) {
    codes.push_back(reason.at("code"));
  }
  return codes;
}

TrialProcess::TrialProcess(const std::string& spec, const std::vector<std::string>& environment,
                           const std::string& program) {
  ChildOptions options;
  options.argv = {program, folder_.write("spec.json", spec)};
  options.environment = environment;
  options.capture_stdout = true;
  options.keep_stdout = 16 << 20;
  process_ = std::make_unique<ChildProcess>(waiter_, guard_, options);
}

pid_t TrialProcess::await_descendant(const std::string& name) const {
  pid_t found = 0;
  await([this, &name, &found] {
    for (const auto& [pid, comm] : descendants(process_->pid())) {
      if (comm == name) {
        found = pid;
      }
    }
    return found != 0 || gone(process_->pid());
  });
  return found;
}

Outcome TrialProcess::wait() {
  const auto status = process_->wait_exit(Clock::now() + 40s);
  if (!status) {
    throw std::runtime_error("spawnpool-trial has not ended within 40 s");
  }
  Outcome outcome;
  outcome.status = *status;
  outcome.out = process_->out().text();
  outcome.err = process_->err().last_lines(20);
  outcome.result = nlohmann::json::parse(outcome.out, nullptr, false);
  return outcome;
}

Outcome run_trial(const nlohmann::json& spec, const std::vector<std::string>& environment) {
  return TrialProcess(spec.dump(), environment).wait();
}

}  // namespace spawnpool::trial::testing
