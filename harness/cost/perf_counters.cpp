#include "harness/cost/perf_counters.hpp"

#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <system_error>

namespace spawnpool::cost {
namespace {

// What an event becomes where only user code may be counted.
enum class WithoutKernel {
  same,   // it does not look at whose code runs
  less,   // the part that is of user code
  never,  // it happens in the kernel: the kernel would tell 0
};

struct Description {
  std::uint32_t type;
  std::uint64_t config;
  bool user, kernel;
  WithoutKernel without_kernel;
};

constexpr Description software(std::uint64_t config, WithoutKernel without_kernel) {
  return {PERF_TYPE_SOFTWARE, config, true, true, without_kernel};
}

constexpr Description hardware(std::uint64_t config) {
  return {PERF_TYPE_HARDWARE, config, true, true, WithoutKernel::less};
}

constexpr Description in_user(std::uint64_t config) {
  return {PERF_TYPE_HARDWARE, config, true, false, WithoutKernel::same};
}

constexpr Description in_kernel(std::uint64_t config) {
  return {PERF_TYPE_HARDWARE, config, false, true, WithoutKernel::never};
}

// In the order of PerfEvent.
constexpr std::array<Description, perf_event_names.size()> descriptions = {
    software(PERF_COUNT_SW_TASK_CLOCK, WithoutKernel::same),
    software(PERF_COUNT_SW_CONTEXT_SWITCHES, WithoutKernel::never),
    software(PERF_COUNT_SW_CPU_MIGRATIONS, WithoutKernel::never),
    software(PERF_COUNT_SW_PAGE_FAULTS_MIN, WithoutKernel::less),
    software(PERF_COUNT_SW_PAGE_FAULTS_MAJ, WithoutKernel::less),
    in_user(PERF_COUNT_HW_CPU_CYCLES),
    in_kernel(PERF_COUNT_HW_CPU_CYCLES),
    in_user(PERF_COUNT_HW_INSTRUCTIONS),
    in_kernel(PERF_COUNT_HW_INSTRUCTIONS),
    hardware(PERF_COUNT_HW_CACHE_REFERENCES),
    hardware(PERF_COUNT_HW_CACHE_MISSES),
    hardware(PERF_COUNT_HW_BRANCH_MISSES),
};

// A descriptor, or -1 and errno.
int open_event(const Description& description, bool kernel, pid_t pid) {
  perf_event_attr attributes{};
  attributes.size = sizeof attributes;
  attributes.type = description.type;
  attributes.config = description.config;
  attributes.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
  attributes.inherit = 1;
  attributes.exclude_user = description.user ? 0 : 1;
  attributes.exclude_kernel = kernel ? 0 : 1;
  attributes.exclude_hv = 1;
  constexpr int any_cpu = -1;
  constexpr int no_group = -1;
  return static_cast<int>(
      syscall(SYS_perf_event_open, &attributes, pid, any_cpu, no_group, PERF_FLAG_FD_CLOEXEC));
}

bool forbidden(int error) {
  return error == EACCES || error == EPERM;
}

std::string why_refused(int error, const Description& description) {
  std::string reason = "perf_event_open: " + std::generic_category().message(error);
  if (forbidden(error)) {
    std::string paranoid;
    std::ifstream("/proc/sys/kernel/perf_event_paranoid") >> paranoid;
    return reason + " (kernel.perf_event_paranoid is " + paranoid +
           "; set it to 1 or give spawnpool-trial CAP_PERFMON, and in a container let its seccomp "
           "profile allow the call)";
  }
  if (error == ENOSYS) {
    return reason + " (the kernel was built without perf events; boot one that has them)";
  }
  if (error == EMFILE) {
    return reason + " (raise ulimit -n)";
  }
  if (description.type == PERF_TYPE_HARDWARE) {
    return reason +
           " (this machine has no such hardware counter; measure on bare metal, or have the host "
           "pass its counters on to the virtual machine)";
  }
  return reason;
}

}  // namespace

PerfCounters::PerfCounters(pid_t pid) {
  for (std::size_t event = 0; event < descriptions.size(); ++event) {
    const Description& description = descriptions.at(event);
    Counter& counter = counters_.at(event);
    counter.fd = open_event(description, description.kernel, pid);
    if (counter.fd < 0 && forbidden(errno) && description.kernel) {
      counts_kernel_ = false;
      if (description.without_kernel == WithoutKernel::never) {
        counter.unmeasured = why_refused(errno, description);
        continue;
      }
      counter.fd = open_event(description, false, pid);
    }
    if (counter.fd < 0) {
      counter.unmeasured = why_refused(errno, description);
    }
  }
}

PerfCounters::~PerfCounters() {
  for (const Counter& counter : counters_) {
    if (counter.fd >= 0) {
      close(counter.fd);
    }
  }
}

PerfCounters::Reading PerfCounters::reading(int fd) {
  std::array<std::uint64_t, 3> words{};  // as the read format orders them
  if (fd >= 0 && ::read(fd, words.data(), sizeof words) != sizeof words) {
    return {.error = errno};
  }
  return {.value = words[0], .enabled_ns = words[1], .running_ns = words[2]};
}

void PerfCounters::begin() {
  for (Counter& counter : counters_) {
    counter.begin = reading(counter.fd);
  }
}

void PerfCounters::end() {
  for (Counter& counter : counters_) {
    counter.end = reading(counter.fd);
  }
}

PerfCounts PerfCounters::read() const {
  PerfCounts counts;
  for (std::size_t event = 0; event < counts.size(); ++event) {
    const Counter& counter = counters_.at(event);
    PerfCount& count = counts.at(event);
    const std::uint64_t enabled = counter.end.enabled_ns - counter.begin.enabled_ns;
    const std::uint64_t running = counter.end.running_ns - counter.begin.running_ns;
    if (counter.fd < 0) {
      count.unmeasured = counter.unmeasured;
    } else if (const int error = std::max(counter.begin.error, counter.end.error); error != 0) {
      count.unmeasured = "the counter cannot be read: " + std::generic_category().message(error);
    } else if (enabled == 0) {
      count.unmeasured = "the process did not run while it was to be counted";
    } else if (running == 0) {
      count.unmeasured =
          "no hardware counter was free; end what else uses them (perf, the NMI watchdog)";
    } else {
      count.running_share = static_cast<double>(running) / static_cast<double>(enabled);
      count.value =
          static_cast<double>(counter.end.value - counter.begin.value) / count.running_share;
    }
  }
  PerfCount& task_clock = counts.at(static_cast<std::size_t>(PerfEvent::task_clock_us));
  if (task_clock.value) {
    *task_clock.value /= 1000;  // the kernel tells nanoseconds
  }
  return counts;
}

}  // namespace spawnpool::cost
