// spawnpool-syscalls at work: real programs, and strace as the second witness.
#include "harness/cost/syscall_tracer.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <regex>

#include "harness/cost/test_child.hpp"
#include "servers/cli/build_folder.hpp"

namespace spawnpool::cost {
namespace {

using Arguments = std::vector<std::string>;
using ByName = std::map<std::string, std::uint64_t>;

Arguments traced(const SyscallLog& log, const Arguments& command) {
  Arguments arguments = {cli::built("bin/spawnpool-syscalls"), "--log", std::to_string(log.fd()),
                         "--"};
  arguments.insert(arguments.end(), command.begin(), command.end());
  return arguments;
}

// By name, over all threads.
ByName by_name(SyscallLog& log) {
  ByName counts;
  for (const auto& [thread, calls] : log.read()) {
    for (const auto& [key, tally] : calls) {
      counts[syscall_name(key.number)] += tally.calls;
    }
  }
  return counts;
}

ByName counted(const Arguments& command) {
  SyscallLog log;
  TestChild child(traced(log, command), {}, log.fd());
  child.release();
  child.read_to_end();
  EXPECT_EQ(child.wait(), 0);
  return by_name(log);
}

// What strace's log says: "17 read(0, ..." begins a call, "17 <... read resumed>" and
// "17 +++ exited with 0 +++" do not.
ByName counted_by_strace(const Arguments& command) {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / ("strace-" + std::to_string(getpid()));
  Arguments arguments = {"strace", "-f", "-qq", "--output", file};
  arguments.insert(arguments.end(), command.begin(), command.end());
  TestChild child(arguments);
  child.release();
  child.read_to_end();
  EXPECT_EQ(child.wait(), 0);
  ByName counts;
  std::ifstream log(file);
  const std::regex begins("[0-9]+ +([a-z0-9_]+)\\(.*");
  for (std::string line; std::getline(log, line);) {
    if (std::smatch match; std::regex_match(line, match, begins)) {
      ++counts[match[1]];
    }
  }
  std::filesystem::remove(file);
  return counts;
}

// The tracer of a process, 0 without one.
pid_t tracer_of(pid_t process) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  for (std::string key; status >> key;) {
    if (key == "TracerPid:") {
      pid_t tracer = 0;
      status >> tracer;
      return tracer;
    }
  }
  return 0;
}

// Processes, threads, programs and signals.
class SameAsStrace : public ::testing::TestWithParam<Arguments> {};

TEST_P(SameAsStrace, Counts) {
  ByName strace = counted_by_strace(GetParam());
  ByName ours = counted(GetParam());
  // The exec of the command itself is before what we count; whether a thread that is joined has
  // ended already decides over futex, and where the kernel puts a thread's heap, which glibc trims
  // to an alignment, over munmap.
  ASSERT_GE(strace["execve"], 1);
  --strace["execve"];
  ours.try_emplace("execve");
  for (const char* by_chance : {"futex", "munmap"}) {
    strace.erase(by_chance);
    ours.erase(by_chance);
  }
  EXPECT_EQ(ours, strace);
}

INSTANTIATE_TEST_SUITE_P(
    Programs, SameAsStrace,
    ::testing::Values(
        Arguments{"/bin/ls", "/"},
        Arguments{"/bin/sh", "-c",
                  "exec " + cli::built("tests/usage_workload") + " <<END\npass 3\nEND\n"},
        Arguments{"/bin/sh", "-c",
                  "trap : USR1; kill -USR1 $$; /bin/true; (exec /bin/ls /); exec /bin/echo done"}));

TEST(SyscallTracer, TellsHowLongACallTook) {
  SyscallLog log;
  TestChild child(traced(log, {"sleep", "0.02"}), {}, log.fd());
  child.release();
  ASSERT_EQ(child.wait(), 0);
  ASSERT_EQ(log.read().size(), 1);
  std::int64_t asleep_ns = 0;
  for (const auto& [key, tally] : log.read().begin()->second) {
    EXPECT_EQ(key.phase, SyscallRecord::unmarked);
    asleep_ns += syscall_name(key.number) == "clock_nanosleep" ? tally.ns : 0;
  }
  EXPECT_GE(asleep_ns, 20'000'000);
}

TEST(SyscallTracer, LeavesTheCommandsStatusAsItIs) {
  for (const auto& [script, status] :
       std::map<std::string, int>{{"exit 7", 7}, {"kill -TERM $$", 128 + SIGTERM}}) {
    SyscallLog log;
    TestChild child(traced(log, {"sh", "-c", script}), {}, log.fd());
    child.release();
    EXPECT_EQ(child.wait(), status) << script;
  }
}

TEST(SyscallTracer, LetsAStoppedProcessStopAndGoOn) {
  SyscallLog log;
  TestChild child(traced(log, {"cat"}), {}, log.fd());
  child.release();
  ASSERT_EQ(child.ask("before"), "before\n");
  kill(child.pid(), SIGSTOP);
  kill(child.pid(), SIGCONT);
  EXPECT_EQ(child.ask("after"), "after\n");
}

TEST(SyscallTracer, TakesWhoItTracesWithItWhenItIsKilled) {
  SyscallLog log;
  TestChild child(traced(log, {"cat"}), {}, log.fd());
  child.release();
  ASSERT_EQ(child.ask("there"), "there\n");
  const pid_t tracer = tracer_of(child.pid());
  ASSERT_GT(tracer, 0);
  kill(tracer, SIGKILL);
  EXPECT_EQ(child.wait(), 128 + SIGKILL);
}

// Signals to the group are the target's.
TEST(SyscallTracer, EndsWithWhoItTracesAndNotBefore) {
  SyscallLog log;
  TestChild child(traced(log, {"setsid", "sh", "-c", "trap : TERM; kill 0; echo alive"}), {},
                  log.fd());
  child.release();
  EXPECT_EQ(child.read_to_end(), "alive\n");  // nor does it keep the output open
  EXPECT_EQ(child.wait(), 0);
}

TEST(SyscallTracer, SaysWhatItCannotDo) {
  const std::string tracer = cli::built("bin/spawnpool-syscalls");
  const auto words = [](const std::string& script, int status) {
    // What is traced cannot look for leaks, which takes a tracer of its own.
    TestChild child({"sh", "-c", "export ASAN_OPTIONS=detect_leaks=0; " + script});
    child.release();
    std::string text = child.read_to_end();
    EXPECT_EQ(child.wait(), status) << script;
    return text;
  };
  EXPECT_EQ(words(tracer + " --log 3 -- /no/where 3>/dev/null 2>&1", 2),
            "spawnpool-syscalls: cannot run '/no/where': No such file or directory\n");
  EXPECT_EQ(words(tracer + " --log 9 -- true 2>&1", 2),
            "spawnpool-syscalls: --log 9 is no open file\n");
  // A process has one tracer.
  EXPECT_EQ(words(tracer + " --log 3 -- " + tracer + " --log 0 -- true 3>/dev/null 2>&1", 1),
            "spawnpool-syscalls: may not trace a process here (Operation not permitted): allow "
            "ptrace, in a container with --cap-add=SYS_PTRACE\n");
}

}  // namespace
}  // namespace spawnpool::cost
