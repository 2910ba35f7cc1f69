// The generator against real servers, in this process.
#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <thread>
#include <vector>

#include "harness/load/background.hpp"
#include "harness/load/judgement.hpp"
#include "harness/load/preflight.hpp"
#include "harness/load/request_bytes.hpp"
#include "harness/load/run.hpp"
#include "harness/load/source_addresses.hpp"
#include "harness/load/statistics.hpp"
#include "servers/cli/cli.hpp"
#include "servers/handlers.hpp"
#include "servers/server.hpp"

namespace spawnpool::load {
namespace {

using namespace std::chrono_literals;

class LoadTest : public ::testing::Test {
 protected:
  LoadTest() { serve({.model = Model::worker_pool}); }

  void serve(const ServerOptions& options) {
    server_.emplace(options, make_routes());
    url_ = "http://127.0.0.1:" + std::to_string(server_->port());
    spec_.endpoint = resolve(parse_url(url_));
    ask("/plaintext");
  }

  void ask(const std::string& path, const RequestText& text = {"GET", {}, ""}) {
    spec_.requests = {make_request(parse_url(url_ + path), text)};
  }

  // Runs the load. Its counts have to reconcile, with the server's too.
  LoadOutcome run(const LoadHooks& hooks = {}) {
    const std::uint64_t before = server_->counters().requests;
    LoadOutcome outcome = run_load(spec_, stop_, hooks);
    const Recorder& all = outcome.total.recorder;
    const Counts& counts = all.counts;
    EXPECT_EQ(counts.intended, counts.sent + counts.dropped + counts.unsent);
    EXPECT_EQ(counts.sent, counts.answered + counts.failed + counts.unfinished);
    EXPECT_EQ(all.latency.count() + all.errors[0] + all.errors[1] + all.errors[2] + all.errors[5],
              counts.sent + counts.unsent);
    server_->drain();  // a server knows its counts when it has ended
    served_ = server_->counters().requests - before;
    return outcome;
  }

  std::optional<Server> server_;
  std::string url_;
  LoadSpec spec_{.connections = 4, .duration = 200ms, .timeout = 10s};
  std::atomic<bool> stop_{false};
  std::uint64_t served_ = 0;
};

TEST_F(LoadTest, ClosedLoopOnKeptConnections) {
  const LoadOutcome outcome = run();
  const Recorder& all = outcome.total.recorder;
  EXPECT_GT(all.counts.answered, 4);
  EXPECT_EQ(all.counts.answered, all.counts.sent);
  EXPECT_EQ(served_, all.counts.answered);
  EXPECT_EQ(all.status_classes[2], all.counts.answered);
  EXPECT_EQ(outcome.total.connections_opened, 4);
  EXPECT_EQ(server_->counters().accepted, 4);
  EXPECT_GT(throughput(outcome), 0);
  EXPECT_EQ(all.intervals.size(), 4);
}

TEST_F(LoadTest, TheWarmUpIsApart) {
  spec_.warmup = 100ms;
  const LoadOutcome outcome = run();
  const Recorder& all = outcome.total.recorder;
  EXPECT_GT(all.warmup_answers, 0);
  EXPECT_GE(served_, all.counts.answered + all.warmup_answers);
  // On the border lies at most one request of each connection.
  EXPECT_LE(served_, all.counts.answered + all.warmup_answers + spec_.connections);
}

TEST_F(LoadTest, AConnectionForEachRequest) {
  spec_.requests_per_connection = 1;
  spec_.sources = default_source_addresses(spec_);
  const LoadOutcome outcome = run();
  EXPECT_EQ(outcome.total.connections_opened, outcome.total.recorder.counts.sent);
  EXPECT_EQ(server_->counters().accepted, outcome.total.recorder.counts.sent);
  EXPECT_EQ(error_count(outcome.total.recorder), 0);
}

TEST_F(LoadTest, SomeRequestsOnEachConnection) {
  spec_.requests_per_connection = 7;
  spec_.pipeline = 3;
  const LoadOutcome outcome = run();
  const std::uint64_t sent = outcome.total.recorder.counts.sent;
  EXPECT_EQ(error_count(outcome.total.recorder), 0);
  EXPECT_GE(server_->counters().accepted, sent / 7);
  EXPECT_LE(server_->counters().accepted, sent / 7 + spec_.connections);
}

TEST_F(LoadTest, PipelinesAndTakesBodiesInParts) {
  spec_.pipeline = 16;
  ask("/bytes/100000");
  spec_.expect = {200, 100'000};
  const LoadOutcome outcome = run();
  EXPECT_EQ(error_count(outcome.total.recorder), 0);
  EXPECT_GT(outcome.total.recorder.counts.answered, 16);
  EXPECT_GT(outcome.total.bytes_received, outcome.total.recorder.counts.answered * 100'000);
}

TEST_F(LoadTest, SendsBodiesLargerThanASocketTakesAtOnce) {
  ask("/echo", {"POST", {}, std::string(900'000, 'x')});
  spec_.expect = {200, 900'000};
  spec_.connections = 2;
  const LoadOutcome outcome = run();
  EXPECT_EQ(error_count(outcome.total.recorder), 0) << outcome.total.recorder.examples[4];
  EXPECT_GT(outcome.total.recorder.counts.answered, 0);
}

TEST_F(LoadTest, HeadHasNoBody) {
  ask("/plaintext", {"HEAD", {}, ""});
  spec_.expect = {200, 0};
  const LoadOutcome outcome = run();
  EXPECT_EQ(error_count(outcome.total.recorder), 0);
  EXPECT_GT(outcome.total.recorder.counts.answered, 4);
}

TEST_F(LoadTest, SeveralRequestsByTheirWeights) {
  spec_.requests.push_back(make_request(parse_url(url_ + "/nothing"), {"GET", {}, ""}));
  spec_.requests[0].weight = 3;
  spec_.duration = 500ms;
  const LoadOutcome outcome = run();
  const Recorder& all = outcome.total.recorder;
  const auto missing = static_cast<double>(all.status_classes[4]);
  const auto total = static_cast<double>(all.counts.answered);
  ASSERT_GT(total, 1000);
  EXPECT_NEAR(missing / total, 0.25, 5 * std::sqrt(0.25 * 0.75 / total));
  EXPECT_EQ(all.errors[static_cast<std::size_t>(ErrorClass::status)], all.status_classes[4]);
}

TEST_F(LoadTest, AnswersAreHeldAgainstWhatIsExpected) {
  spec_.expect = {200, 12};  // it has 13 bytes
  const LoadOutcome outcome = run();
  const Recorder& all = outcome.total.recorder;
  EXPECT_EQ(all.errors[static_cast<std::size_t>(ErrorClass::status)], all.counts.answered);
}

TEST_F(LoadTest, ThinkTimeLiesBetweenRequests) {
  spec_.think_time = 50ms;
  const LoadOutcome outcome = run();
  EXPECT_GE(outcome.total.recorder.counts.answered, 4);
  EXPECT_LE(outcome.total.recorder.counts.answered, 4 * 4);  // at 0, 50, 100 and 150 ms
}

TEST_F(LoadTest, OpenLoopOffersItsRateWhateverTheServerDoes) {
  spec_.open_loop = OpenLoop{.rate = 1000, .arrivals = Arrivals::uniform, .backlog = 10'000};
  ask("/sleep?ms=20");  // 4 connections give 200 per second at the most
  const LoadOutcome outcome = run();
  const Recorder& all = outcome.total.recorder;
  EXPECT_EQ(all.counts.intended, 200);
  EXPECT_EQ(all.counts.answered, 200);  // those that waited are sent after the window
  EXPECT_GE(all.latency.max(), 600'000);
  EXPECT_GE(all.wait.max(), 500'000);
  EXPECT_LT(all.answers_in_window, 50);
}

TEST_F(LoadTest, ABoundedBacklogDropsAndSaysSo) {
  spec_.open_loop = OpenLoop{.rate = 1000, .arrivals = Arrivals::uniform, .backlog = 10};
  ask("/sleep?ms=50");
  const LoadOutcome outcome = run();
  const Counts& counts = outcome.total.recorder.counts;
  EXPECT_EQ(counts.intended, 200);
  EXPECT_GT(counts.dropped, 100);
}

TEST_F(LoadTest, OpenLoopWithAConnectionForEachArrival) {
  spec_.open_loop = OpenLoop{.rate = 500, .backlog = 1000, .seed = 3};
  spec_.requests_per_connection = 1;
  const LoadOutcome outcome = run();
  EXPECT_EQ(server_->counters().accepted, outcome.total.recorder.counts.sent);
  EXPECT_EQ(error_count(outcome.total.recorder), 0);
}

TEST_F(LoadTest, BurstsComeTogether) {
  spec_.open_loop = OpenLoop{.rate = 80, .burst = 8, .burst_every = 100ms, .backlog = 100};
  spec_.connections = 8;
  spec_.requests_per_connection = 1;
  const LoadOutcome outcome = run();
  EXPECT_EQ(outcome.total.recorder.counts.answered, 16);
}

// The threads of this process.
std::set<pid_t> threads() {
  std::set<pid_t> all;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    all.insert(std::stoi(entry.path().filename()));
  }
  return all;
}

// The CPU that a thread may run on, if that is a single one.
std::optional<int> only_cpu(pid_t thread) {
  std::ifstream status("/proc/self/task/" + std::to_string(thread) + "/status");
  const std::string name = "Cpus_allowed_list:";
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name)) {
      const std::string list = line.substr(name.size());
      return list.find_first_of(",-") == std::string::npos ? std::optional(std::stoi(list))
                                                           : std::nullopt;
    }
  }
  return std::nullopt;
}

TEST_F(LoadTest, SeveralThreadsShareTheLoadEachOnItsCpu) {
  cpu_set_t allowed;
  sched_getaffinity(0, sizeof(allowed), &allowed);
  const int allowed_cpus = CPU_COUNT(&allowed);
  for (int cpu = 0; cpu < CPU_SETSIZE && spec_.cpus.size() < 2; ++cpu) {
    if (CPU_ISSET(static_cast<std::size_t>(cpu), &allowed)) {
      spec_.cpus.push_back(cpu);
    }
  }
  spec_.open_loop = OpenLoop{.rate = 1000, .arrivals = Arrivals::uniform, .backlog = 1000};
  spec_.pacing = Pacing::busy_poll;
  const std::set<pid_t> before = threads();
  std::vector<int> cpus;
  LoadHooks hooks;
  hooks.window_begin = [&] {
    for (const pid_t thread : threads()) {
      const std::optional<int> cpu = before.contains(thread) ? std::nullopt : only_cpu(thread);
      if (cpu) {
        cpus.push_back(*cpu);
      }
    }
  };
  const LoadOutcome outcome = run(hooks);
  EXPECT_EQ(outcome.total.recorder.counts.intended, 200);
  EXPECT_EQ(outcome.total.recorder.counts.answered, 200);
  EXPECT_EQ(outcome.workers.size(), spec_.cpus.size());
  if (allowed_cpus > 1) {  // a thread of a process with one CPU is on that one anyhow
    std::sort(cpus.begin(), cpus.end());
    EXPECT_EQ(cpus, spec_.cpus);
  }
}

TEST_F(LoadTest, RefusalsAreAnswers) {
  server_->drain();
  ServerOptions options{.model = Model::worker_pool};
  options.pool.max_workers = 1;
  serve(options);
  ask("/sleep?ms=10");
  const LoadOutcome outcome = run();
  const Recorder& all = outcome.total.recorder;
  EXPECT_GT(all.rejected, 0);
  EXPECT_GT(all.status_classes[2], 0);
  EXPECT_EQ(all.rejected, all.status_classes[5]);
}

TEST_F(LoadTest, AnAnswerThatDoesNotComeInTimeIsAnErrorAndRecorded) {
  ask("/sleep?ms=2000");
  spec_.timeout = 100ms;
  const LoadOutcome outcome = run();
  const Recorder& all = outcome.total.recorder;
  EXPECT_GE(all.errors[static_cast<std::size_t>(ErrorClass::timeout)], 4);
  EXPECT_EQ(all.counts.answered, 0);
  EXPECT_GE(all.latency.min(), 99'000);
  EXPECT_FALSE(all.examples[static_cast<std::size_t>(ErrorClass::timeout)].empty());
}

TEST_F(LoadTest, AServerThatGoesAwayIsTriedAgainAtABoundedRate) {
  std::jthread drainer;
  LoadHooks hooks;
  hooks.window_begin = [&] { drainer = std::jthread([&] { server_->drain(); }); };
  spec_.duration = 500ms;
  const LoadOutcome outcome = run_load(spec_, stop_, hooks);
  const Recorder& all = outcome.total.recorder;
  const std::uint64_t refused = all.errors[static_cast<std::size_t>(ErrorClass::connect)];
  EXPECT_GT(refused, 0);
  EXPECT_LE(refused, 4 * 12);  // after 1, 2, 4 ... ms
  EXPECT_EQ(all.counts.sent, all.counts.answered + all.counts.failed + all.counts.unfinished);
}

TEST_F(LoadTest, IsEndedEarly) {
  spec_.duration = 1h;
  spec_.open_loop = OpenLoop{.rate = 100, .backlog = 1000};
  LoadHooks hooks;
  hooks.window_begin = [&] { stop_ = true; };
  const LoadOutcome outcome = run_load(spec_, stop_, hooks);
  EXPECT_LT(outcome.window, 1min);
}

TEST_F(LoadTest, BackgroundClientsStayBeside) {
  spec_.background = {.idle = 20, .slow_senders = 3, .slow_readers = 3, .bytes_per_second = 1000};
  spec_.duration = 500ms;
  const LoadOutcome outcome = run_load(spec_, stop_);
  const BackgroundCounts& counts = outcome.total.background;
  EXPECT_EQ(counts.idle.open, 20);
  EXPECT_EQ(counts.idle.answers, 20);
  EXPECT_EQ(counts.slow_senders.open, 3);
  EXPECT_GT(counts.slow_senders.answers, 0);
  EXPECT_EQ(counts.slow_readers.open, 3);
  EXPECT_EQ(counts.idle.errors + counts.slow_senders.errors + counts.slow_readers.errors, 0);
  EXPECT_EQ(error_count(outcome.total.recorder), 0);
  EXPECT_EQ(server_->counters().accepted, 4 + 26);
}

TEST_F(LoadTest, BackgroundClientsThatAreRefusedAreToldAsMissing) {
  server_->drain();
  ServerOptions options{.model = Model::worker_pool};
  options.pool.max_workers = 6;
  serve(options);
  spec_.background.idle = 10;
  const LoadOutcome outcome = run_load(spec_, stop_);
  EXPECT_EQ(outcome.total.background_missing, 4);
  EXPECT_FALSE(judge(spec_, outcome, false).empty());
  EXPECT_GT(outcome.total.recorder.rejected, 0) << "the background comes first";
}

TEST_F(LoadTest, BackgroundClientsTakeAnAnswerToHead) {
  ask("/plaintext", {"HEAD", {}, ""});
  spec_.background = {.idle = 2, .slow_senders = 1, .slow_readers = 1, .bytes_per_second = 10'000};
  const LoadOutcome outcome = run();
  const BackgroundCounts& counts = outcome.total.background;
  EXPECT_EQ(outcome.total.background_missing, 0);
  EXPECT_EQ(counts.idle.answers, 2);
  EXPECT_GT(counts.slow_senders.answers, 0);
  EXPECT_GT(counts.slow_readers.answers, 0);
}

// Peers of the connections that the server has, by the kernel's table: addresses in hexadecimal, as
// they lie in memory, and how often each is there.
std::map<std::string, int> peers_of(std::uint16_t port) {
  std::map<std::string, int> peers;
  std::ifstream table("/proc/net/tcp");
  std::string line;
  std::getline(table, line);
  while (std::getline(table, line)) {
    std::istringstream fields(line);
    std::string number, local, remote, state;
    fields >> number >> local >> remote >> state;
    constexpr std::string_view established = "01";
    if (state == established &&
        std::stoul(local.substr(local.find(':') + 1), nullptr, 16) == port) {
      ++peers[remote.substr(0, remote.find(':'))];
    }
  }
  return peers;
}

TEST_F(LoadTest, EveryConnectionComesFromTheSourceAddressesInTurn) {
  spec_.sources = parse_source_addresses("127.0.0.2,127.0.0.3", spec_.endpoint);
  spec_.background = {.idle = 2, .slow_senders = 2, .slow_readers = 2};
  std::map<std::string, int> peers;
  LoadHooks hooks;
  hooks.window_begin = [&] {  // which is when the measured connections are opened
    const auto bound = std::chrono::steady_clock::now() + 5s;
    do {
      peers = peers_of(server_->port());
    } while (peers["0200007F"] + peers["0300007F"] < 10 &&
             std::chrono::steady_clock::now() < bound);
  };
  run_load(spec_, stop_, hooks);
  EXPECT_EQ(peers, (std::map<std::string, int>{{"0200007F", 5}, {"0300007F", 5}}));
}

TEST_F(LoadTest, IdleClientsWithoutAnAnswerAreToldAsMissing) {
  ask("/sleep?ms=500");
  spec_.background.idle = 2;
  spec_.timeout = 100ms;
  const LoadOutcome outcome = run_load(spec_, stop_);
  EXPECT_EQ(outcome.total.background_missing, 2);
}

TEST_F(LoadTest, AHostThatListensNowhereIsToldBeforehand) {
  server_->drain();
  EXPECT_THROW(check_reachable(spec_), cli::UsageError);
}

}  // namespace
}  // namespace spawnpool::load
