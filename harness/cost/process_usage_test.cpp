#include "harness/cost/process_usage.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <filesystem>
#include <limits>

#include "harness/cost/test_child.hpp"
#include "harness/cost/test_privileges.hpp"
#include "servers/cli/build_folder.hpp"

namespace spawnpool::cost {
namespace {

using namespace std::chrono_literals;

// A workload under watch, and what each command used.
class Watched {
 public:
  Watched() : child_({cli::built("tests/usage_workload")}), usage_(child_.pid()) {
    child_.release();
    run("burn 0 0");  // it is up
  }

  UsageDelta run(const std::string& command) {
    const UsageSnapshot before = usage_.read();
    EXPECT_EQ(child_.ask(command), "done\n");
    return usage_between(before, usage_.read());
  }

  TestChild& child() { return child_; }
  ProcessUsage& usage() { return usage_; }

 private:
  TestChild child_;
  ProcessUsage usage_;
};

// 0 where they were not told.
std::uint64_t switches(const UsageDelta& delta) {
  return delta.scheduling.value_or(Scheduling{}).switches();
}

TEST(ProcessUsage, CountsTheCpuTimeOfThreadsThatEnded) {
  Watched watched;
  const UsageDelta delta = watched.run("burn 4 50");
  EXPECT_GE(delta.cpu, 200ms);
  EXPECT_LT(delta.cpu, 300ms);
  EXPECT_EQ(delta.user + delta.system, delta.cpu);
  EXPECT_EQ(watched.usage().read().threads, 2);
  EXPECT_GE(process_cpu_time(watched.child().pid()), 200ms);
}

TEST(ProcessUsage, ResolvesCpuTimeBelowATick) {
  Watched watched;
  const UsageDelta delta = watched.run("burn 1 1");
  EXPECT_GE(delta.cpu, 1ms);
  EXPECT_LT(delta.cpu, 9ms);
}

TEST(ProcessUsage, CountsLiveDescendants) {
  Watched watched;
  const UsageDelta delta = watched.run("keep-burn 100");
  EXPECT_GE(delta.cpu, 100ms);
  EXPECT_LT(delta.cpu, 150ms);
  const std::vector<pid_t> processes = watched.usage().processes();
  ASSERT_EQ(processes.size(), 2);
  EXPECT_EQ(processes.front(), watched.child().pid());
  EXPECT_EQ(watched.usage().read().threads, 3);
}

TEST(ProcessUsage, ReadsQuicklyWhatItReadsOtherwise) {
  Watched watched;
  ProcessUsage& usage = watched.usage();
  const std::vector<pid_t> alone = usage.processes();
  const UsageSnapshot before = usage.read_quickly(alone);
  watched.run("keep-burn 100");
  EXPECT_EQ(usage.read_quickly(alone).threads, 2) << "of the processes that it was given";
  const UsageDelta delta = usage_between(before, usage.read_quickly(usage.processes()));
  EXPECT_GE(delta.cpu, 100ms);
  EXPECT_LT(delta.cpu, 150ms);

  std::vector<pid_t> processes = usage.processes();
  processes.push_back(std::numeric_limits<pid_t>::max());  // no such process
  EXPECT_EQ(usage.read_quickly(processes).threads, 3);
}

TEST(ProcessUsage, CountsDescendantsThatEnded) {
  Watched watched;
  const UsageDelta delta = watched.run("fork-burn 100");
  EXPECT_GE(delta.cpu, 90ms);  // of these, ticks are all there is
  EXPECT_LT(delta.cpu, 150ms);
  EXPECT_EQ(watched.usage().processes().size(), 1);
}

TEST(ProcessUsage, CountsPageFaultsAndResidentMemory) {
  Watched watched;
  constexpr std::uint64_t kernel_slack = 1'000'000;  // it sums its per-core counts in batches
  const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  const UsageSnapshot before = watched.usage().read();
  const UsageDelta delta = watched.run("touch 10000");
  EXPECT_GE(delta.minor_faults, 10'000);
  EXPECT_LT(delta.minor_faults, 10'500);
  const UsageSnapshot touched = watched.usage().read();
  EXPECT_NEAR(static_cast<double>(touched.rss_bytes - before.rss_bytes),
              static_cast<double>(10'000 * page), static_cast<double>(kernel_slack));

  watched.run("drop");
  EXPECT_GE(watched.usage().read().rss_peak_bytes, touched.rss_bytes - kernel_slack);
  watched.usage().reset_rss_peak();
  EXPECT_LT(watched.usage().read().rss_peak_bytes, touched.rss_bytes - 9000 * page);
}

// Why taskstats is not to be had here; empty when it is. taskstats_test.cpp has what it must do.
std::string no_taskstats_because() {
  try {
    const Taskstats taskstats;
    return "";
  } catch (const TaskstatsError& error) {
    return error.what();
  }
}

TEST(ProcessUsage, CountsContextSwitches) {
  Watched watched;
  const UsageDelta live = watched.run("pass-live 20000");
  EXPECT_GE(switches(live), 40'000) << live.scheduling_unmeasured;
  EXPECT_LT(switches(live), 60'000);

  const std::string missing = no_taskstats_because();
  const UsageDelta ended = watched.run("pass 20000");
  if (missing.empty()) {
    EXPECT_GE(switches(ended), 40'000) << ended.scheduling_unmeasured;
    EXPECT_LT(switches(ended), 60'000);
    EXPECT_EQ(ended.scheduling_unmeasured, "");
  } else {
    EXPECT_EQ(ended.scheduling, std::nullopt);
    EXPECT_TRUE(ended.scheduling_unmeasured.starts_with(missing)) << ended.scheduling_unmeasured;
  }
}

// On one core, each of four threads waits while the three others use it.
TEST(ProcessUsage, CountsTheWaitForACore) {
  Watched watched;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  for (const auto& entry : std::filesystem::directory_iterator(
           "/proc/" + std::to_string(watched.child().pid()) + "/task")) {
    ASSERT_EQ(sched_setaffinity(std::stoi(entry.path().filename()), sizeof one, &one), 0);
  }
  const UsageDelta delta = watched.run("burn 4 50");
  if (no_taskstats_because().empty()) {
    ASSERT_TRUE(delta.scheduling) << delta.scheduling_unmeasured;
    EXPECT_GE(delta.scheduling->run_queue_wait, 100ms);
    EXPECT_LT(delta.scheduling->run_queue_wait, 60s);
    EXPECT_GT(delta.scheduling->involuntary_switches, 0);
  } else {
    EXPECT_EQ(delta.scheduling, std::nullopt) << "of threads that have ended";
  }
}

TEST(ProcessUsage, DoesNotGuessTheSwitchesOfProcessesThatEnded) {
  Watched watched;
  const UsageDelta delta = watched.run("fork-burn 100");
  EXPECT_EQ(delta.scheduling, std::nullopt);
  EXPECT_NE(delta.scheduling_unmeasured.find(" that have ended used "), std::string::npos)
      << delta.scheduling_unmeasured;
}

TEST(ProcessUsage, TakesContextSwitchesFromLiveThreadsWithoutCapabilities) {
  const WithoutCapabilities ordinary;
  TestChild child({cli::built("tests/usage_workload")});
  child.release();
  child.ask("burn 0 0");
  ProcessUsage usage(child.pid());
  const UsageSnapshot start = usage.read();
  EXPECT_TRUE(start.threads_only_because.starts_with("taskstats: ")) << start.threads_only_because;

  child.ask("pass-live 20000");
  const UsageSnapshot passed = usage.read();
  const UsageDelta live = usage_between(start, passed);
  EXPECT_GE(switches(live), 40'000) << live.scheduling_unmeasured;
  EXPECT_LT(switches(live), 60'000);

  child.ask("pass 20000");
  const UsageDelta ended = usage_between(passed, usage.read());
  EXPECT_EQ(ended.scheduling, std::nullopt);
  EXPECT_NE(ended.scheduling_unmeasured.find("threads that have ended used"), std::string::npos)
      << ended.scheduling_unmeasured;
}

TEST(ProcessUsage, SaysThatTheProcessHasEnded) {
  Watched watched;
  const pid_t pid = watched.child().pid();
  watched.child().kill();
  watched.child().await_end();  // not yet waited for
  EXPECT_THROW(watched.usage().read(), ProcessGone);
  EXPECT_THROW(watched.usage().reset_rss_peak(), ProcessGone);
  watched.child().wait();
  EXPECT_THROW(watched.usage().read(), ProcessGone);
  EXPECT_THROW((void)watched.usage().processes(), ProcessGone);
  EXPECT_THROW(watched.usage().reset_rss_peak(), ProcessGone);
  EXPECT_THROW(process_cpu_time(pid), ProcessGone);
  EXPECT_THROW(ProcessUsage{pid}, ProcessGone);
}

UsageSnapshot snapshot(std::chrono::nanoseconds cpu, std::map<pid_t, TaskUsage> tasks) {
  UsageSnapshot result;
  result.cpu = cpu;
  result.threads_only_because = "no taskstats";
  result.tasks = std::move(tasks);
  return result;
}

TEST(UsageBetween, AsksLiveThreadsForNinetyNinePercentOfTheCpuTime) {
  const UsageSnapshot before = snapshot(
      100ms, {{1, {{.voluntary_switches = 10}, 50ms}}, {2, {{.voluntary_switches = 5}, 50ms}}});
  const UsageSnapshot enough = snapshot(
      200ms, {{1, {{.voluntary_switches = 110}, 100ms}}, {3, {{.voluntary_switches = 7}, 49ms}}});
  EXPECT_EQ(switches(usage_between(before, enough)), 107);
  const UsageSnapshot too_little = snapshot(
      200ms, {{1, {{.voluntary_switches = 110}, 100ms}}, {3, {{.voluntary_switches = 7}, 48ms}}});
  EXPECT_EQ(usage_between(before, too_little).scheduling, std::nullopt);
  EXPECT_EQ(usage_between(before, too_little).scheduling_unmeasured,
            "no taskstats, and threads that have ended used 2 % of the CPU time");
}

TEST(UsageBetween, RefusesToCompareThreadsWithProcesses) {
  UsageSnapshot processes = snapshot(100ms, {{1, {{.voluntary_switches = 10}, 100ms}}});
  processes.threads_only_because = "";
  const UsageSnapshot threads = snapshot(200ms, {{1, {{.voluntary_switches = 110}, 200ms}}});
  EXPECT_EQ(usage_between(processes, threads).scheduling, std::nullopt);
  EXPECT_EQ(usage_between(processes, threads).scheduling_unmeasured,
            "no taskstats, at one of two readings");
}

TEST(UsageBetween, TakesAReusedThreadIdForANewThread) {
  const UsageSnapshot before = snapshot(100ms, {{1, {{.voluntary_switches = 1000}, 90ms}}});
  const UsageSnapshot after = snapshot(120ms, {{1, {{.voluntary_switches = 30}, 20ms}}});
  EXPECT_EQ(switches(usage_between(before, after)), 30);
}

TEST(UsageBetween, RefusesCountersThatWentDown) {
  EXPECT_THROW(usage_between(snapshot(2ms, {}), snapshot(1ms, {})), std::runtime_error);
}

TEST(UsageBetween, SplitsTheCpuTimeWithoutRemainder) {
  UsageSnapshot before, after;
  before.cpu = 10ms, before.user = 10ms, before.system = 0ms;
  after.cpu = 15ms, after.user = 5ms, after.system = 10ms;  // the kernel's split moves by a tick
  const UsageDelta delta = usage_between(before, after);
  EXPECT_EQ(delta.user, 0ms);
  EXPECT_EQ(delta.system, 5ms);
}

}  // namespace
}  // namespace spawnpool::cost
