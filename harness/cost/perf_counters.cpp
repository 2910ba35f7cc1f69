#include "harness/cost/perf_counters.hpp"

#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

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
  attributes.disabled = 1;
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

void PerfCounters::enable() const {
  for (const Counter& counter : counters_) {
    ioctl(counter.fd, PERF_EVENT_IOC_ENABLE, 0);
  }
}

void PerfCounters::disable() const {
  for (const Counter& counter : counters_) {
    ioctl(counter.fd, PERF_EVENT_IOC_DISABLE, 0);
  }
}

PerfCounts PerfCounters::read() const {
  struct Reading {
    std::uint64_t value, enabled, running;
  };
  PerfCounts counts;
  for (std::size_t event = 0; event < counts.size(); ++event) {
    const Counter& counter = counters_.at(event);
    PerfCount& count = counts.at(event);
    Reading reading{};
    if (counter.fd < 0) {
      count.unmeasured = counter.unmeasured;
    } else if (::read(counter.fd, &reading, sizeof reading) != sizeof reading) {
      count.unmeasured = "the counter cannot be read: " + std::generic_category().message(errno);
    } else if (reading.enabled == 0) {
      count.unmeasured = "the process did not run while it was to be counted";
    } else if (reading.running == 0) {
      count.unmeasured =
          "no hardware counter was free; end what else uses them (perf, the NMI watchdog)";
    } else {
      count.running_share =
          static_cast<double>(reading.running) / static_cast<double>(reading.enabled);
      count.value = static_cast<double>(reading.value) / count.running_share;
    }
  }
  PerfCount& task_clock = counts.at(static_cast<std::size_t>(PerfEvent::task_clock_us));
  if (task_clock.value) {
    *task_clock.value /= 1000;  // the kernel tells nanoseconds
  }
  return counts;
}

}  // namespace spawnpool::cost
