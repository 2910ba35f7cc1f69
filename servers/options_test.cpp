// The command line of the real spawnpool-server: what it refuses, tells and does by default.
#include "servers/options.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "servers/cli/build_folder.hpp"
#include "servers/testing/client.hpp"
#include "servers/testing/server_process.hpp"

namespace spawnpool {
namespace {

using testing::Client;
using testing::ServerProcess;

struct Ended {
  int status;
  std::string text;  // what it wrote to the stream that was asked for
};

// Runs the server, which must end by itself. `streams` are the shell's redirections.
Ended run(const std::string& arguments, const std::string& streams) {
  const std::string command =
      "timeout 30 " + cli::built("bin/spawnpool-server") + " " + arguments + " " + streams;
  FILE* const pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) {
    throw std::runtime_error("popen failed");
  }
  Ended result{};
  for (int next = fgetc(pipe); next != EOF; next = fgetc(pipe)) {
    result.text += static_cast<char>(next);
  }
  const int status = pclose(pipe);
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return result;
}

// Command lines with one mistake, and what the answer must name.
struct Mistake {
  std::string arguments;
  std::string words;

  friend void PrintTo(const Mistake& mistake, std::ostream* out) { *out << mistake.arguments; }
};

class OptionMistakes : public ::testing::TestWithParam<Mistake> {};

TEST_P(OptionMistakes, EndWithTwoAndOneLine) {
  const Ended ended = run(GetParam().arguments, "2>&1 >/dev/null");
  EXPECT_EQ(ended.status, 2);
  EXPECT_TRUE(ended.text.starts_with("spawnpool-server: ")) << ended.text;
  EXPECT_NE(ended.text.find(GetParam().words), std::string::npos) << ended.text;
  EXPECT_EQ(ended.text.find('\n'), ended.text.size() - 1) << ended.text;
  EXPECT_EQ(run(GetParam().arguments, "2>/dev/null").text, "");
}

std::vector<Mistake> mistakes() {
  const std::string pool = "--model worker-pool ";
  const std::string thread = "--model thread-per-connection ";
  std::vector<Mistake> result = {
      {"", "--model is required"},
      {"--model", "--model"},
      {"--model fibers", "'fibers' is unknown; choose thread-per-connection|worker-pool"},
      {pool + "--fast", "--fast"},
      {pool + "extra", "extra"},
      {pool + "--workers 5 --workers 6", "--workers"},
      {pool + "--memory old", "'old' is unknown; choose fresh|reused"},
      {pool + "--overflow drop", "'drop' is unknown; choose reject|wait"},
      {pool + "--defer-accept=maybe", "--defer-accept"},
      {pool + "--max-connections 5", "--max-connections is for --model thread-per-connection"},
      {pool + "--min-workers 5 --workers 4", "--min-workers is above --workers"},
      {pool + "--address localhost", "not a numeric IPv4 or IPv6 address"},
      {pool + "--address 192.0.2.1", "give an --address of this machine"},
  };
  for (const char* of_pool : {"--workers 5", "--min-workers 1", "--queue 5", "--overflow wait",
                              "--idle-worker-timeout 5s"}) {
    const std::string option = of_pool;
    result.push_back({thread + option, option.substr(0, option.find(' ')) +
                                           " is for --model worker-pool; leave it out"});
  }
  struct Range {
    std::string option, least, most, below, above;
  };
  const std::vector<Range> ranges = {
      {"--port", "0", "65535", "-1", "65536"},
      {"--backlog", "1", "65535", "0", "65536"},
      {"--workers", "1", "100000", "0", "100001"},
      {"--min-workers", "0", "100000", "-1", "100001"},
      {"--queue", "0", "1000000", "-1", "1000001"},
      {"--max-connections-per-address", "0", "1000000", "-1", "1000001"},
      {"--max-requests-per-connection", "0", "1000000000", "-1", "1000000001"},
      {"--max-header-bytes", "128", "1048576", "127", "1048577"},
      {"--max-body-bytes", "0", "1073741824", "-1", "1073741825"},
      {"--receive-spin", "0", "1000000", "-1", "1000001"},
  };
  for (const Range& range : ranges) {
    for (const std::string& value : {range.below, range.above, std::string("many")}) {
      result.push_back({pool + range.option + " " + value, range.option + ": Value " + value +
                                                               " not in range " + range.least +
                                                               " to " + range.most});
    }
  }
  result.push_back({thread + "--max-connections -1", "not in range 0 to 1000000"});
  for (const std::string option : {"--header-timeout", "--body-timeout", "--write-timeout",
                                   "--idle-timeout", "--drain-timeout", "--idle-worker-timeout"}) {
    result.push_back({pool + option + " 5", option + ": '5' is no duration; write it as 250ms"});
    result.push_back({pool + option + " 0s", option + ": '0s' is out of range; give 1ms to 1h"});
    result.push_back({pool + option + " 2h", option + ": '2h' is out of range; give 1ms to 1h"});
  }
  return result;
}

INSTANTIATE_TEST_SUITE_P(All, OptionMistakes, ::testing::ValuesIn(mistakes()));

TEST(Options, APortInUseIsAMistake) {
  ServerProcess first({"--model", "worker-pool"});
  const std::string port = std::to_string(first.port());
  const Ended second = run("--model worker-pool --port " + port, "2>&1 >/dev/null");
  EXPECT_EQ(second.status, 2);
  EXPECT_EQ(second.text, "spawnpool-server: cannot listen on 127.0.0.1 port " + port +
                             ": Address already in use; give another --port, or --port 0 for a "
                             "free one\n");
  first.stop();
}

TEST(Options, HelpStatesEveryDefault) {
  const Ended help = run("--help", "");
  EXPECT_EQ(help.status, 0);
  const ServerOptions options;
  const auto number = [](auto value) { return std::to_string(value); };
  const std::vector<std::pair<std::string, std::string>> defaults = {
      {"--address ADDRESS", "=127.0.0.1 "},
      {"--port N", "=0 "},
      {"--backlog N", "=" + number(options.backlog)},
      {"--max-connections N", "=0"},
      {"--workers N", "=" + number(options.pool.max_workers)},
      {"--min-workers N", "=" + number(options.pool.min_workers)},
      {"--queue N", "=" + number(options.pool.queue_capacity)},
      {"--idle-worker-timeout DURATION", "=10s"},
      {"--max-connections-per-address N", "=0"},
      {"--max-requests-per-connection N", "=" + number(options.limits.max_requests)},
      {"--max-header-bytes N", "=" + number(options.limits.max_header_bytes)},
      {"--max-body-bytes N", "=" + number(options.limits.max_body_bytes)},
      {"--header-timeout DURATION", "=10s"},
      {"--body-timeout DURATION", "=30s"},
      {"--write-timeout DURATION", "=30s"},
      {"--idle-timeout DURATION", "=1m"},
      {"--drain-timeout DURATION", "=10s"},
      {"--receive-spin N", "=" + number(options.limits.receive_spin)},
      {"--memory fresh|reused", "[fresh for thread-per-connection, reused for worker-pool]"},
      {"--overflow reject|wait", "[reject]"},
  };
  for (const auto& [option, value] : defaults) {
    const std::size_t at = help.text.find("  " + option);
    ASSERT_NE(at, std::string::npos) << option;
    const std::string line = help.text.substr(at, help.text.find('\n', at) - at) + " ";
    EXPECT_NE(line.find(value), std::string::npos) << line;
  }
}

TEST(Options, VersionIsOneLine) {
  const Ended version = run("--version", "");
  EXPECT_EQ(version.status, 0);
  EXPECT_TRUE(version.text.starts_with("spawnpool-server ")) << version.text;
  EXPECT_EQ(version.text.find('\n'), version.text.size() - 1);
}

TEST(Options, EitherSignalEndsItInOrder) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const nlohmann::json line = ServerProcess({"--model", "worker-pool"}).stop(signal);
    EXPECT_EQ(line.at("event"), "exit");
  }
}

TEST(Options, MemoryFollowsTheModelUnlessGiven) {
  const auto memory = [](std::vector<std::string> options) {
    return ServerProcess(options).stop().at("memory").get<std::string>();
  };
  EXPECT_EQ(memory({"--model", "worker-pool"}), "reused");
  EXPECT_EQ(memory({"--model", "thread-per-connection"}), "fresh");
  EXPECT_EQ(memory({"--model", "worker-pool", "--memory", "fresh"}), "fresh");
  EXPECT_EQ(memory({"--model", "thread-per-connection", "--memory", "reused"}), "reused");
}

TEST(Options, DeferredAcceptsServeLikeOthers) {
  for (const char* model : {"worker-pool", "thread-per-connection"}) {
    ServerProcess server({"--model", model, "--defer-accept"});
    EXPECT_EQ(Client(server.port()).get("/").body, "Hello, World!");
    EXPECT_EQ(server.stop().at("counters").at("requests"), 1);
  }
}

}  // namespace
}  // namespace spawnpool
