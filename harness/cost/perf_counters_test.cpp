#include "harness/cost/perf_counters.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <thread>

#include "harness/cost/process_usage.hpp"
#include "harness/cost/test_child.hpp"
#include "harness/cost/test_privileges.hpp"
#include "servers/cli/build_folder.hpp"

namespace spawnpool::cost {
namespace {

const PerfCount& of(const PerfCounts& counts, PerfEvent event) {
  return counts.at(static_cast<std::size_t>(event));
}

// Why this test may not count what is done in the kernel; empty when it may.
std::string no_kernel_because() {
  const PerfCounters counters(0);
  return counters.counts_kernel() ? ""
                                  : of(counters.read(), PerfEvent::context_switches).unmeasured;
}

int paranoid() {
  int level = 0;
  std::ifstream("/proc/sys/kernel/perf_event_paranoid") >> level;
  return level;
}

// A workload with its counters, attached before it executes its program, and what each command
// cost by these and by /proc.
class Counted {
 public:
  Counted()
      : child_({cli::built("tests/usage_workload")}),
        counters_(child_.pid()),
        usage_(child_.pid()) {
    child_.release();
    EXPECT_EQ(child_.ask("burn 0 0"), "done\n");  // it is up
  }

  struct Costs {
    PerfCounts perf;
    UsageDelta proc;
  };

  Costs run(const std::string& command) {
    const UsageSnapshot before = usage_.read();
    counters_.begin();
    EXPECT_EQ(child_.ask(command), "done\n");
    counters_.end();
    return {counters_.read(), usage_between(before, usage_.read())};
  }

  TestChild& child() { return child_; }
  PerfCounters& counters() { return counters_; }

 private:
  TestChild child_;
  PerfCounters counters_;
  ProcessUsage usage_;
};

// NaN, which compares with nothing, where the event is not to be had.
double value(const Counted::Costs& costs, PerfEvent event) {
  const PerfCount& count = of(costs.perf, event);
  EXPECT_TRUE(count.value) << count.unmeasured;
  return count.value.value_or(std::numeric_limits<double>::quiet_NaN());
}

double faults(const Counted::Costs& costs) {
  return value(costs, PerfEvent::minor_faults) + value(costs, PerfEvent::major_faults);
}

TEST(PerfCounters, CountThreadsThatComeAndGo) {
  if (const std::string reason = no_kernel_because(); !reason.empty()) {
    EXPECT_TRUE(reason.starts_with("perf_event_open: ")) << reason;
    return;
  }
  Counted counted;
  for (const int threads : {1, 10, 100}) {
    const Counted::Costs costs = counted.run("burn " + std::to_string(threads) + " 1");
    EXPECT_GE(value(costs, PerfEvent::task_clock_us), 1000 * threads);
    const auto told = static_cast<double>(costs.proc.minor_faults + costs.proc.major_faults);
    EXPECT_NEAR(faults(costs), told, 0.02 * told + 2) << threads;
    EXPECT_GE(told, threads) << "each touches its stack";
  }
}

TEST(PerfCounters, CountContextSwitchesAsProcDoes) {
  if (const std::string reason = no_kernel_because(); !reason.empty()) {
    EXPECT_TRUE(reason.starts_with("perf_event_open: ")) << reason;
    return;
  }
  Counted counted;
  // Of threads that live all along, and of threads that start and end.
  for (const char* command : {"pass-live 20000", "pass 20000"}) {
    const Counted::Costs costs = counted.run(command);
    const double switches = value(costs, PerfEvent::context_switches);
    EXPECT_GE(switches, 40'000) << command;
    if (costs.proc.scheduling) {
      const auto told = static_cast<double>(costs.proc.scheduling->switches());
      EXPECT_NEAR(switches, told, 0.01 * told) << command;
    } else {
      EXPECT_LT(switches, 60'000) << command;
    }
  }
}

TEST(PerfCounters, CountPageFaults) {
  if (const std::string reason = no_kernel_because(); !reason.empty()) {
    EXPECT_TRUE(reason.starts_with("perf_event_open: ")) << reason;
    return;
  }
  Counted counted;
  const Counted::Costs costs = counted.run("touch 10000");
  EXPECT_GE(value(costs, PerfEvent::minor_faults), 10'000);
  EXPECT_NEAR(value(costs, PerfEvent::minor_faults), static_cast<double>(costs.proc.minor_faults),
              20);
  EXPECT_NEAR(value(costs, PerfEvent::major_faults), static_cast<double>(costs.proc.major_faults),
              2);
}

TEST(PerfCounters, CountMigrations) {
  if (const std::string reason = no_kernel_because(); !reason.empty()) {
    EXPECT_TRUE(reason.starts_with("perf_event_open: ")) << reason;
    return;
  }
  cpu_set_t allowed;
  ASSERT_EQ(sched_getaffinity(0, sizeof allowed, &allowed), 0);
  Counted counted;
  EXPECT_EQ(value(counted.run("migrate 200"), PerfEvent::migrations),
            CPU_COUNT(&allowed) > 1 ? 200 : 0);
  EXPECT_EQ(value(counted.run("burn 1 1"), PerfEvent::migrations), 0) << "it keeps to its core";
}

TEST(PerfCounters, CountDescendants) {
  if (const std::string reason = no_kernel_because(); !reason.empty()) {
    EXPECT_TRUE(reason.starts_with("perf_event_open: ")) << reason;
    return;
  }
  Counted counted;
  EXPECT_GE(value(counted.run("fork-burn 20"), PerfEvent::task_clock_us), 20'000);
  EXPECT_GE(value(counted.run("keep-burn 20"), PerfEvent::task_clock_us), 20'000);
}

TEST(PerfCounters, TellNothingOfBeforeTheyBegin) {
  Counted counted;
  for (const PerfCount& count : counted.counters().read()) {
    EXPECT_FALSE(count.value);
    EXPECT_FALSE(count.unmeasured.empty());
  }
  EXPECT_EQ(counted.child().ask("touch 1000"), "done\n");
  EXPECT_LT(faults(counted.run("burn 0 0")), 1000);
}

TEST(PerfCounters, KeepTheirCountsWhenTheProcessEnds) {
  Counted counted;
  counted.counters().begin();
  EXPECT_EQ(counted.child().ask("touch 1000"), "done\n");
  counted.child().kill();
  counted.child().wait();
  counted.counters().end();
  EXPECT_GE(of(counted.counters().read(), PerfEvent::minor_faults).value, 1000);
}

// Which counters a machine has is not the test's to say, but that the others have their reason is.
TEST(PerfCounters, CountWithTheHardwareOrSayWhyNot) {
  Counted counted;
  const Counted::Costs costs = counted.run("burn 1 5");
  for (const PerfEvent event :
       {PerfEvent::user_cycles, PerfEvent::kernel_cycles, PerfEvent::user_instructions,
        PerfEvent::kernel_instructions, PerfEvent::cache_references, PerfEvent::branch_misses}) {
    const PerfCount& count = of(costs.perf, event);
    if (count.value) {
      EXPECT_GT(*count.value, 0);
      EXPECT_GT(count.running_share, 0);
      EXPECT_LE(count.running_share, 1);
    } else {
      EXPECT_NE(count.unmeasured.find(" ("), std::string::npos) << "the mend: " << count.unmeasured;
      EXPECT_EQ(count.unmeasured.find('\n'), std::string::npos);
    }
  }
}

TEST(PerfCounters, TellAUserOfUserCodeOnly) {
  const WithoutCapabilities ordinary;
  Counted counted;
  const Counted::Costs costs = counted.run("touch 10000");
  const PerfCount& clock = of(costs.perf, PerfEvent::task_clock_us);
  if (!clock.value) {  // Debian knows a level 3, at which a user may count nothing at all
    EXPECT_TRUE(clock.unmeasured.starts_with("perf_event_open: ")) << clock.unmeasured;
    return;
  }
  EXPECT_GE(*clock.value, 100);
  EXPECT_GE(value(costs, PerfEvent::minor_faults), 10'000);
  EXPECT_EQ(counted.counters().counts_kernel(), paranoid() <= 1);
  for (const PerfEvent event : {PerfEvent::context_switches, PerfEvent::migrations}) {
    const PerfCount& count = of(costs.perf, event);
    EXPECT_EQ(count.value.has_value(), paranoid() <= 1);
    if (!count.value) {
      EXPECT_NE(
          count.unmeasured.find("kernel.perf_event_paranoid is " + std::to_string(paranoid()) +
                                "; set it to 1 or give spawnpool-trial CAP_PERFMON"),
          std::string::npos)
          << count.unmeasured;
    }
  }
}

TEST(PerfCounters, SayWhyTheyAreForbidden) {
  std::thread([] {  // the filter is the thread's, and goes with it
    forbid_perf_events();
    Counted counted;
    const Counted::Costs costs = counted.run("burn 1 1");
    for (const PerfCount& count : costs.perf) {
      EXPECT_FALSE(count.value);
      EXPECT_TRUE(count.unmeasured.starts_with("perf_event_open: Permission denied"))
          << count.unmeasured;
      EXPECT_NE(count.unmeasured.find("in a container let its seccomp profile allow the call"),
                std::string::npos);
    }
  })
      .join();
}

TEST(PerfCounters, LeaveNoDescriptorBehind) {
  const auto descriptors = [] {
    const std::filesystem::directory_iterator open("/proc/self/fd");
    return std::distance(begin(open), end(open));
  };
  const auto before = descriptors();
  TestChild child({cli::built("tests/usage_workload")});
  const auto with_child = descriptors();
  { const PerfCounters counters(child.pid()); }
  EXPECT_EQ(descriptors(), with_child);
  EXPECT_GT(with_child, before);
}

}  // namespace
}  // namespace spawnpool::cost
