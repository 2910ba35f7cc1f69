#include "harness/trial/processes.hpp"

#include <signal.h>  // NOLINT(modernize-deprecated-headers): kill is POSIX's
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace spawnpool::trial {
namespace {

// The entries of a folder of /proc that are numbers.
std::vector<pid_t> numbers_in(const std::string& folder) {
  std::vector<pid_t> result;
  std::error_code error;
  auto entry = std::filesystem::directory_iterator(folder, error);
  // A process may end while its folder is read: increment(error) instead of a range-for, which
  // throws.
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename();
    pid_t number = 0;
    const auto [end, bad] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (bad == std::errc{} && end == name.data() + name.size()) {
      result.push_back(number);
    }
  }
  std::sort(result.begin(), result.end());
  return result;
}

}  // namespace

std::optional<TaskStat> read_task_stat(const std::string& path) {
  std::ifstream file("/proc/" + path + "/stat");
  std::string line;
  if (!std::getline(file, line)) {
    return std::nullopt;
  }
  // The name in parentheses may hold anything, a parenthesis too: the fields begin behind the last
  // one.
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) {
    return std::nullopt;
  }
  std::istringstream fields(line.substr(name_end + 1));
  TaskStat stat;
  fields >> stat.state >> stat.parent;
  std::string skipped;
  for (int field = 5; field < 20; ++field) {  // numbered as in proc(5)
    fields >> skipped;
  }
  fields >> stat.threads;
  for (int field = 21; field < 24; ++field) {
    fields >> skipped;
  }
  std::uint64_t rss_pages = 0;
  fields >> rss_pages;
  stat.rss_bytes = rss_pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  return fields ? std::optional(stat) : std::nullopt;
}

std::vector<pid_t> processes() {
  return numbers_in("/proc");
}

std::vector<pid_t> children() {
  std::vector<pid_t> result;
  for (const pid_t pid : processes()) {
    const auto stat = read_task_stat(std::to_string(pid));
    if (stat && stat->parent == getpid()) {
      result.push_back(pid);
    }
  }
  return result;
}

void kill_adopted(pid_t spare, Clock::time_point deadline) {
  do {
    std::vector<pid_t> adopted = children();
    std::erase(adopted, spare);
    if (adopted.empty()) {
      return;
    }
    for (const pid_t pid : adopted) {
      kill(pid, SIGKILL);
      waitpid(pid, nullptr, WNOHANG);
    }
    usleep(500);
  } while (Clock::now() < deadline);
}

bool all_threads_sleep(pid_t pid, std::vector<pid_t>& threads) {
  const std::string folder = std::to_string(pid) + "/task";
  const std::vector<pid_t> own = numbers_in("/proc/" + folder);
  threads.insert(threads.end(), own.begin(), own.end());
  return !own.empty() && std::all_of(own.begin(), own.end(), [&](pid_t thread) {
    const auto stat = read_task_stat(folder + "/" + std::to_string(thread));
    return stat && stat->state == 'S';
  });
}

}  // namespace spawnpool::trial
