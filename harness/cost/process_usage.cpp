#include "harness/cost/process_usage.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <thread>

namespace spawnpool::cost {
namespace {

using std::chrono::nanoseconds;

// The whole of a small file below /proc. Throws ProcessGone when the process (or thread) is no
// more.
std::string read_proc(pid_t pid, const std::string& name) {
  const std::string path = "/proc/" + std::to_string(pid) + "/" + name;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  std::string text;
  ssize_t got = fd < 0 ? -1 : 1;
  while (got > 0) {
    std::array<char, 4096> part{};
    got = read(fd, part.data(), part.size());
    text.append(part.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
  }
  const int error = errno;
  if (fd >= 0) {
    close(fd);
  }
  if (got < 0) {
    if (error == ENOENT || error == ESRCH) {
      throw ProcessGone(pid);
    }
    throw std::system_error(error, std::generic_category(), path);
  }
  return text;
}

std::uint64_t to_number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// What proc(5) lists for /proc/PID/stat, as far as it is used here.
struct Stat {
  char state = 0;
  pid_t parent = 0;
  std::uint64_t flags = 0;
  std::uint64_t minor_faults = 0, child_minor_faults = 0, major_faults = 0, child_major_faults = 0;
  std::uint64_t user_ticks = 0, system_ticks = 0, child_user_ticks = 0, child_system_ticks = 0;
  std::uint64_t threads = 0, start_time = 0;

  [[nodiscard]] bool ended() const { return state == 'Z' || state == 'X'; }
};

Stat read_stat(pid_t pid, const std::string& name = "stat") {
  const std::string text = read_proc(pid, name);
  // The name, in parentheses, may hold anything; what follows the last one is numbers.
  std::vector<std::string_view> fields{
      {}, {}, {}};  // so that fields[n] is proc(5)'s field n, from 3
  std::string_view rest(text);
  rest.remove_prefix(std::min(rest.rfind(')'), rest.size() - 2) + 2);
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find_first_of(" \n"), rest.size());
    fields.push_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (fields.size() < 23) {
    throw std::runtime_error("/proc/" + std::to_string(pid) + "/stat is not as proc(5) says");
  }
  return {.state = fields[3].front(),
          .parent = static_cast<pid_t>(to_number(fields[4])),
          .flags = to_number(fields[9]),
          .minor_faults = to_number(fields[10]),
          .child_minor_faults = to_number(fields[11]),
          .major_faults = to_number(fields[12]),
          .child_major_faults = to_number(fields[13]),
          .user_ticks = to_number(fields[14]),
          .system_ticks = to_number(fields[15]),
          .child_user_ticks = to_number(fields[16]),
          .child_system_ticks = to_number(fields[17]),
          .threads = to_number(fields[20]),
          .start_time = to_number(fields[22])};
}

// A number from a file of "name:  value unit" lines; nothing when the line is missing.
std::optional<std::uint64_t> value_of(std::string_view text, std::string_view name) {
  const std::string line_start = "\n" + std::string(name) + ":";
  const std::size_t line = text.find(line_start);
  if (line == std::string_view::npos) {
    return std::nullopt;
  }
  const std::size_t digits = text.find_first_not_of(" \t", line + line_start.size());
  return to_number(text.substr(digits));
}

std::vector<pid_t> numbers_in(const std::filesystem::path& directory) {
  std::vector<pid_t> numbers;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    const auto number = static_cast<pid_t>(to_number(entry->path().filename().native()));
    if (number > 0) {
      numbers.push_back(number);
    }
  }
  return numbers;
}

nanoseconds from_ticks(std::uint64_t ticks) {
  static const auto tick = nanoseconds(std::chrono::seconds(1)) / sysconf(_SC_CLK_TCK);
  return tick * static_cast<nanoseconds::rep>(ticks);
}

nanoseconds scaled(nanoseconds value, nanoseconds part, nanoseconds whole) {
  return whole.count() == 0 ? value
                            : nanoseconds(std::llround(static_cast<double>(value.count()) *
                                                       static_cast<double>(part.count()) /
                                                       static_cast<double>(whole.count())));
}

// Everything but the scheduling. Returns the CPU time of the process alone when it lives.
std::optional<nanoseconds> add_process(UsageSnapshot& sum, pid_t pid) {
  const Stat stat = read_stat(pid);
  const nanoseconds cpu = process_cpu_time(pid);
  const nanoseconds user = from_ticks(stat.user_ticks);
  const nanoseconds user_scaled = scaled(cpu, user, user + from_ticks(stat.system_ticks));
  const nanoseconds child_user = from_ticks(stat.child_user_ticks);
  const nanoseconds child_system = from_ticks(stat.child_system_ticks);
  sum.cpu += cpu + child_user + child_system;
  sum.user += user_scaled + child_user;
  sum.system += cpu - user_scaled + child_system;
  sum.minor_faults += stat.minor_faults + stat.child_minor_faults;
  sum.major_faults += stat.major_faults + stat.child_major_faults;
  if (stat.ended()) {  // waits for its parent: it has counters still, but neither threads nor
                       // memory
    return std::nullopt;
  }
  const std::string status = read_proc(pid, "status");
  sum.threads += stat.threads;
  sum.rss_bytes += 1024 * value_of(status, "VmRSS").value_or(0);
  sum.rss_peak_bytes += 1024 * value_of(status, "VmHWM").value_or(0);
  return cpu;
}

void add_threads(std::map<pid_t, TaskUsage>& tasks, pid_t pid) {
  for (const pid_t task : numbers_in("/proc/" + std::to_string(pid) + "/task")) {
    try {
      const std::string directory = "task/" + std::to_string(task) + "/";
      const std::string status = read_proc(pid, directory + "status");
      const std::string schedstat = read_proc(pid, directory + "schedstat");
      // proc(5): time on a core, time on a run queue, turns, in ns.
      const std::size_t wait = schedstat.find(' ') + 1;  // 0 where there is none
      tasks[task] = {.scheduling = {.voluntary_switches =
                                        value_of(status, "voluntary_ctxt_switches").value_or(0),
                                    .involuntary_switches =
                                        value_of(status, "nonvoluntary_ctxt_switches").value_or(0),
                                    .run_queue_wait = nanoseconds(
                                        to_number(std::string_view(schedstat).substr(wait)))},
                     .run_time = nanoseconds(to_number(schedstat))};
    } catch (const ProcessGone&) {
      continue;  // the thread ended meanwhile, and counts as one that did
    }
  }
}

// Whether a thread has begun to end, or has ended.
bool is_ending(pid_t pid, pid_t thread) {
  constexpr std::uint64_t pf_exiting = 0x4;  // include/linux/sched.h of the kernel
  try {
    return (read_stat(pid, "task/" + std::to_string(thread) + "/stat").flags & pf_exiting) != 0;
  } catch (const ProcessGone&) {
    return true;
  }
}

// The scheduling of a process, asked for anew until no thread was ending meanwhile: such a one
// might be counted twice.
Scheduling settled_scheduling(Taskstats& taskstats, pid_t pid) {
  constexpr auto patience = std::chrono::seconds(1);
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (;;) {
    const std::vector<pid_t> threads = numbers_in("/proc/" + std::to_string(pid) + "/task");
    const Scheduling scheduling = taskstats.scheduling(pid);
    if (std::none_of(threads.begin(), threads.end(),
                     [pid](pid_t thread) { return is_ending(pid, thread); })) {
      return scheduling;
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      throw TaskstatsError("threads ended all the time");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void require_not_less(std::uint64_t before, std::uint64_t after) {
  if (after < before) {
    throw std::runtime_error(
        "a counter of the process went down: a descendant ended without being waited for");
  }
}

}  // namespace

ProcessGone::ProcessGone(pid_t pid)
    : std::runtime_error("process " + std::to_string(pid) + " has ended"), pid_(pid) {}

nanoseconds process_cpu_time(pid_t pid) {
  clockid_t clock{};
  timespec time{};
  if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) != 0) {
    throw ProcessGone(pid);
  }
  return std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
}

UsageDelta usage_between(const UsageSnapshot& before, const UsageSnapshot& after) {
  require_not_less(before.minor_faults, after.minor_faults);
  require_not_less(before.major_faults, after.major_faults);
  require_not_less(static_cast<std::uint64_t>(before.cpu.count()),
                   static_cast<std::uint64_t>(after.cpu.count()));
  UsageDelta delta;
  delta.cpu = after.cpu - before.cpu;
  delta.user = std::clamp(after.user - before.user, nanoseconds(0), delta.cpu);
  delta.system = delta.cpu - delta.user;
  delta.minor_faults = after.minor_faults - before.minor_faults;
  delta.major_faults = after.major_faults - before.major_faults;
  const bool threads_only = !after.threads_only_because.empty();
  if (threads_only != !before.threads_only_because.empty()) {
    delta.scheduling_unmeasured =
        (threads_only ? after : before).threads_only_because + ", at one of two readings";
    return delta;
  }

  Scheduling scheduling;
  nanoseconds run_time{};
  for (const auto& [task, now] : after.tasks) {
    const auto earlier = before.tasks.find(task);
    // A task that ran less than its namesake is a new one under a used id.
    const bool known = earlier != before.tasks.end() && earlier->second.run_time <= now.run_time &&
                       earlier->second.scheduling.switches() <= now.scheduling.switches();
    const TaskUsage then = known ? earlier->second : TaskUsage{};
    scheduling += now.scheduling;
    scheduling -= then.scheduling;
    run_time += now.run_time - then.run_time;
  }
  const double share = delta.cpu.count() == 0 ? 1.0
                                              : static_cast<double>(run_time.count()) /
                                                    static_cast<double>(delta.cpu.count());
  if (share >= 0.99) {
    delta.scheduling = scheduling;
  } else {
    delta.scheduling_unmeasured =
        (threads_only ? after.threads_only_because + ", and threads" : "processes") +
        " that have ended used " + std::to_string(std::lround(100 * (1 - share))) +
        " % of the CPU time";
  }
  return delta;
}

ProcessUsage::ProcessUsage(pid_t root) : root_(root), root_start_time_(read_stat(root).start_time) {
  try {
    taskstats_.emplace();
  } catch (const TaskstatsError& error) {
    no_taskstats_because_ = error.what();
  }
}

void ProcessUsage::add_scheduling(UsageSnapshot& sum, pid_t pid, nanoseconds cpu, Settle settle) {
  if (!taskstats_) {
    add_threads(sum.tasks, pid);
    return;
  }
  Scheduling scheduling;
  try {
    scheduling =
        settle == Settle::yes ? settled_scheduling(*taskstats_, pid) : taskstats_->scheduling(pid);
  } catch (const TaskstatsError& error) {
    if (error.code() == ESRCH) {
      throw ProcessGone(pid);
    }
    throw;
  }
  if (read_stat(pid).ended()) {  // perhaps before it was asked about
    throw ProcessGone(pid);
  }
  sum.tasks[pid] = {.scheduling = scheduling, .run_time = cpu};
}

std::vector<pid_t> ProcessUsage::processes() const {
  std::multimap<pid_t, pid_t> children;
  for (const pid_t pid : numbers_in("/proc")) {
    try {
      children.emplace(read_stat(pid).parent, pid);
    } catch (const ProcessGone&) {
      continue;
    }
  }
  const Stat root = read_stat(root_);
  if (root.ended() || root.start_time != root_start_time_) {
    throw ProcessGone(root_);
  }
  std::vector<pid_t> found{root_};
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto [first, last] = children.equal_range(found[i]);
    for (auto child = first; child != last; ++child) {
      found.push_back(child->second);
    }
  }
  return found;
}

UsageSnapshot ProcessUsage::sum_of(const std::vector<pid_t>& processes, Settle settle) {
  UsageSnapshot sum;
  for (const pid_t pid : processes) {
    if (const auto cpu = add_process(sum, pid)) {
      add_scheduling(sum, pid, *cpu, settle);
    }
  }
  sum.threads_only_because = no_taskstats_because_;
  return sum;
}

UsageSnapshot ProcessUsage::read() {
  constexpr int attempts = 16;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    try {
      // Parents first: a child that ends in between is missed here and found at the next attempt in
      // what its parent has collected, but never counted in both.
      return sum_of(processes(), Settle::yes);
    } catch (const ProcessGone& gone) {
      if (gone.pid() == root_) {
        throw;
      }
    } catch (const TaskstatsError& error) {
      taskstats_.reset();
      no_taskstats_because_ = error.what();
    }
  }
  throw std::runtime_error("the descendants of process " + std::to_string(root_) +
                           " come and go faster than they can be read");
}

UsageSnapshot ProcessUsage::read_quickly(const std::vector<pid_t>& processes) {
  try {
    return sum_of(processes, Settle::no);
  } catch (const ProcessGone&) {
    return read();
  } catch (const TaskstatsError&) {
    return read();
  }
}

void ProcessUsage::reset_rss_peak(const std::vector<pid_t>& processes) const {
  for (const pid_t pid : processes) {
    const std::string path = "/proc/" + std::to_string(pid) + "/clear_refs";
    const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
    const bool written = fd >= 0 && write(fd, "5", 1) == 1;
    const int error = errno;
    if (fd >= 0) {
      close(fd);
    }
    const bool gone = error == ENOENT || error == ESRCH;
    if (!written && !(gone && pid != root_)) {
      if (gone) {
        throw ProcessGone(root_);
      }
      throw std::system_error(error, std::generic_category(), path);
    }
  }
}

}  // namespace spawnpool::cost
