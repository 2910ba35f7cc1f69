#include "harness/cost/cpu_times.hpp"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>

namespace spawnpool::cost {
namespace {

using std::chrono::nanoseconds;

double share(nanoseconds part, nanoseconds whole) {
  return std::clamp(static_cast<double>(part.count()) / static_cast<double>(whole.count()), 0.0,
                    1.0);
}

}  // namespace

CpuTimes read_cpu_times(const std::vector<int>& cpus) {
  static const nanoseconds tick = nanoseconds(std::chrono::seconds(1)) / sysconf(_SC_CLK_TCK);
  CpuTimes times;
  std::size_t found = 0;
  std::ifstream stat("/proc/stat");
  for (std::string line; std::getline(stat, line) && line.starts_with("cpu");) {
    std::istringstream fields(line.substr(3));
    int cpu = -1;
    // proc(5): user nice system idle iowait irq softirq steal, and guest times within user.
    nanoseconds::rep user = 0, nice = 0, system = 0, idle = 0, waiting = 0, irq = 0, softirq = 0,
                     steal = 0;
    if (line[3] != ' ' &&
        fields >> cpu >> user >> nice >> system >> idle >> waiting >> irq >> softirq >> steal &&
        std::find(cpus.begin(), cpus.end(), cpu) != cpus.end()) {
      times.idle += tick * (idle + waiting);
      times.stolen += tick * steal;
      ++found;
    }
  }
  if (found != cpus.size()) {
    throw std::runtime_error("/proc/stat does not tell of every CPU in use");
  }
  return times;
}

Disturbance disturbance_between(const CpuTimes& before, const CpuTimes& after, std::size_t cpus,
                                nanoseconds elapsed, nanoseconds own) {
  const nanoseconds whole = elapsed * static_cast<nanoseconds::rep>(cpus);
  const nanoseconds idle = after.idle - before.idle;
  const nanoseconds stolen = after.stolen - before.stolen;
  return {.foreign_share = share(whole - idle - stolen - own, whole),
          .steal_share = share(stolen, whole)};
}

double idle_share_between(const CpuTimes& before, const CpuTimes& after, std::size_t cpus,
                          nanoseconds elapsed) {
  return share(after.idle - before.idle, elapsed * static_cast<nanoseconds::rep>(cpus));
}

}  // namespace spawnpool::cost
