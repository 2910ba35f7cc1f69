#include "harness/trial/syscalls.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <set>
#include <system_error>

#include "harness/cost/process_usage.hpp"
#include "harness/trial/http_client.hpp"
#include "harness/trial/strace_log.hpp"

namespace spawnpool::trial {
namespace {

using namespace std::chrono_literals;

constexpr unsigned syscalls_warmup = 3;
// Longer than the periods of the timers that a server may have; our own ticks every 250 ms.
constexpr auto idle_watch = 600ms;

// The log as a file without a name, which strace opens through /proc/self/fd.
class LogFile {
 public:
  LogFile() : file_(memfd_create("strace.log", MFD_CLOEXEC)) {
    if (!file_) {
      throw std::system_error(errno, std::generic_category(), "memfd for strace's log");
    }
  }

  int fd() const { return file_.get(); }

  std::vector<std::string> strace(const std::string& program) const {
    // -D: the target stays our child, and strace becomes its.
    return {program,
            "-D",
            "-f",
            "-qq",
            "--signal=none",
            "--string-limit=0",
            "--output",
            "/proc/self/fd/" + std::to_string(file_.get())};
  }

  // Every call until now, by thread.
  std::map<pid_t, SyscallCounts> read() {
    std::array<char, 65536> buffer{};
    ssize_t got = 0;
    while ((got = pread(file_.get(), buffer.data(), buffer.size(), offset_)) > 0) {
      log_.add({buffer.data(), static_cast<std::size_t>(got)});
      offset_ += got;
    }
    return log_.threads();
  }

 private:
  UniqueFd file_;
  off_t offset_ = 0;
  StraceLog log_;
};

// Why strace cannot trace here; empty when it can.
std::string no_strace_because(const PassContext& context, const std::string& program) {
  const LogFile log;
  ChildOptions options;
  options.argv = log.strace(program);
  options.argv.emplace_back("true");
  options.inherit = {log.fd()};
  ChildProcess probe(context.waiter, context.guard, options);
  const auto status = probe.wait_exit(Clock::now() + 5s);
  if (status && status->ok()) {
    return {};
  }
  const auto words = probe.err().last_lines(1);
  return words.empty() ? "strace cannot trace a process here" : words.front();
}

// The threads that made calls between two readings.
std::set<pid_t> callers(const std::map<pid_t, SyscallCounts>& before,
                        const std::map<pid_t, SyscallCounts>& after) {
  std::set<pid_t> found;
  for (const auto& [thread, counts] : after) {
    const auto earlier = before.find(thread);
    if (earlier == before.end() || earlier->second != counts) {
      found.insert(thread);
    }
  }
  return found;
}

SyscallCounts sum(const std::map<pid_t, SyscallCounts>& threads, const std::set<pid_t>& without) {
  SyscallCounts total;
  for (const auto& [thread, counts] : threads) {
    if (!without.contains(thread)) {
      for (const auto& [name, count] : counts) {
        total[name] += count;
      }
    }
  }
  return total;
}

SyscallsResult solve_all(const SyscallCounts& start, const SyscallCounts& middle,
                         const SyscallCounts& end, const AccountingSpec& size) {
  const auto at = [](const SyscallCounts& counts, const std::string& name) {
    const auto found = counts.find(name);
    return found == counts.end() ? 0.0 : static_cast<double>(found->second);
  };
  Cost total;
  std::map<std::string, SyscallCost> by_name;
  for (const auto& [name, count] : end) {
    const double short_load = at(middle, name) - at(start, name);
    const double long_load = static_cast<double>(count) - at(middle, name);
    if (short_load != 0 || long_load != 0) {
      const Cost cost = solve(short_load, long_load, size);
      by_name[name] = {cost.per_request, cost.per_connection};
      total.per_request += cost.per_request;
      total.per_connection += cost.per_connection;
    }
  }
  return {total.per_request, total.per_connection, by_name};
}

SyscallsResult count(const PassContext& context, Target& target, LogFile& log) {
  const AccountingSpec& size = *context.spec.accounting;
  FixedLoad load(context, target, FixedLoad::Rest::between_requests);
  if (!load.serve(syscalls_warmup, size.requests_per_connection)) {
    return SyscallsResult::missing(closes_connections);
  }
  load.serve(syscalls_warmup, 1);
  const auto idle_begin = log.read();
  context.waiter.sleep_until(Clock::now() + idle_watch);
  const std::set<pid_t> background = callers(idle_begin, log.read());

  const SyscallCounts start = sum(log.read(), background);
  load.serve(size.connections, 1);
  const SyscallCounts middle = sum(log.read(), background);
  if (!load.serve(size.connections, size.requests_per_connection)) {
    throw HttpError("a connection was closed before its " +
                    std::to_string(size.requests_per_connection) + " requests were answered");
  }
  return solve_all(start, middle, sum(log.read(), background), size);
}

}  // namespace

SyscallsResult count_syscalls(const PassContext& context) {
  if (!context.spec.accounting || !context.spec.accounting->syscalls) {
    return SyscallsResult::missing("not asked for in this trial");
  }
  const auto program = find_program("strace");
  if (!program) {
    return SyscallsResult::missing("strace is not installed; apt-get install strace");
  }
  if (const std::string reason = no_strace_because(context, *program); !reason.empty()) {
    return SyscallsResult::missing(reason);
  }
  LogFile log;
  TargetLaunch launch{context.cpus, {}, {log.fd()}};
  launch.wrapper = log.strace(*program);
  SyscallsResult result;
  run_pass(context, launch, [&](Target& target) { result = count(context, target, log); });
  return result;
}

}  // namespace spawnpool::trial
