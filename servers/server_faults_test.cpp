// The real server under faults: machine resources that run out, and clients that misbehave.
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/resource.h>

#include <chrono>
#include <deque>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "servers/testing/captured_log.hpp"
#include "servers/testing/client.hpp"
#include "servers/testing/server_process.hpp"

namespace spawnpool {
namespace {

using testing::Answer;
using testing::Client;
using testing::End;
using testing::eventually;
using testing::get_request;
using testing::occurrences;
using testing::ServerProcess;
using testing::thread_count;

constexpr std::string_view close_field = "Connection: close\r\n";

// What must hold whatever happened. Returns the counters.
nlohmann::json counters_of(const nlohmann::json& exit_line) {
  EXPECT_EQ(exit_line.at("event"), "exit");
  nlohmann::json counters = exit_line.at("counters");
  EXPECT_EQ(counters.at("accepted").get<int>(),
            counters.at("closed").get<int>() + counters.at("rejected").get<int>());
  EXPECT_EQ(counters.at("rejected").get<int>(), counters.at("rejected_busy").get<int>() +
                                                    counters.at("rejected_address").get<int>() +
                                                    counters.at("rejected_no_thread").get<int>());
  return counters;
}

class ServerFaultsTest : public ::testing::TestWithParam<const char*> {
 protected:
  static std::vector<std::string> options(const std::vector<std::string>& more = {}) {
    std::vector<std::string> result = {"--model", GetParam()};
    result.insert(result.end(), more.begin(), more.end());
    return result;
  }
  static bool is_pool() { return std::string_view(GetParam()) == "worker-pool"; }
};

INSTANTIATE_TEST_SUITE_P(Models, ServerFaultsTest,
                         ::testing::Values("thread-per-connection", "worker-pool"),
                         [](const auto& each) {
                           return std::string_view(each.param) == "worker-pool" ? "Pool" : "Thread";
                         });

TEST_P(ServerFaultsTest, CountsInItsExitLineWhatHappened) {
  ServerProcess server(options());
  Client kept(server.port());
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(kept.get("/").status, 200);
  }
  EXPECT_EQ(Client(server.port()).get("/nowhere", close_field).status, 404);
  Client bad(server.port());
  bad.send("GET / HTTP/1.1\r\n\r\n");  // no Host
  EXPECT_EQ(bad.receive().status, 400);
  Client under_way(server.port());
  under_way.send("GET / HTTP");
  Client silent(server.port());
  under_way.send("/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(under_way.receive().status, 200);
  const nlohmann::json line = server.stop();
  const nlohmann::json counters = counters_of(line);
  EXPECT_EQ(line.at("model"), GetParam());
  EXPECT_EQ(line.at("drain").at("cut"), 0);
  EXPECT_EQ(counters.at("accepted"), 5);
  EXPECT_EQ(counters.at("closed"), 5);
  EXPECT_EQ(counters.at("requests"), 7);
  EXPECT_EQ(counters.at("errors_protocol"), 1);
  EXPECT_EQ(counters.at("errors_peer"), 0);
  EXPECT_EQ(counters.at("queued"), 0);
  EXPECT_EQ(server.log(), "");
}

TEST_P(ServerFaultsTest, TellsInItsExitLineWhatTheDrainBeganWith) {
  ServerProcess server(is_pool() ? options({"--min-workers", "3", "--drain-timeout", "1ms"})
                                 : options({"--drain-timeout", "1ms"}));
  Client under_way(server.port());
  ASSERT_TRUE(under_way.begin_post("/echo", 4));
  const nlohmann::json drain = server.stop().at("drain");
  EXPECT_EQ(drain.at("cut"), 1);
  EXPECT_GE(drain.at("duration_us"), 1000);
  EXPECT_EQ(drain.at("connections"),
            nlohmann::json::parse(R"({"open": 1, "new": 0, "active": 1, "idle": 0})"));
  EXPECT_EQ(drain.at("threads"), nlohmann::json({{"busy", 1}, {"ready", is_pool() ? 2 : 0}}));
  EXPECT_EQ(drain.at("queued"), 0);
}

TEST_P(ServerFaultsTest, RunsInBatches) {
  ServerProcess server(options());
  EXPECT_EQ(sched_getscheduler(server.pid()), SCHED_BATCH);
  server.stop();
}

TEST_P(ServerFaultsTest, TakesAllDescriptorsThatItMayHave) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit few{.rlim_cur = 64, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  ServerProcess server(options());  // inherits them
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit taken{};
  ASSERT_EQ(prlimit(server.pid(), RLIMIT_NOFILE, nullptr, &taken), 0);
  EXPECT_EQ(taken.rlim_cur, before.rlim_max);
  EXPECT_EQ(taken.rlim_max, before.rlim_max);
  server.stop();
}

TEST_P(ServerFaultsTest, GoesOnWhenDescriptorsComeFree) {
  constexpr std::size_t limit = 48;
  ServerProcess server(options(), {.open_files = limit});
  std::size_t answered = 0;
  for (int round = 0; round < 2; ++round) {
    const std::string log_before = server.log();
    const auto since_then = [&] { return server.log().substr(log_before.size()); };
    // More clients than descriptors: the last wait in the kernel's queue.
    std::deque<Client> clients;
    for (std::size_t i = 0; i < limit + 10; ++i) {
      clients.emplace_back(server.port()).send(get_request("/"));
    }
    EXPECT_EQ(clients.front().receive().status, 200);
    ++answered;
    ASSERT_TRUE(eventually([&] {
      return occurrences(since_then(), "accept: Too many open files; next try in 20 ms") > 0;
    })) << server.log();
    clients.pop_front();
    for (; !clients.empty(); clients.pop_front()) {  // each that leaves lets another in
      const Answer answer = clients.front().receive();
      ASSERT_EQ(answer.status, 200);
      ASSERT_TRUE(answer.whole);
      ++answered;
    }
    // In the second round too: the successes in between have reset the pause.
    EXPECT_GT(occurrences(since_then(), "next try in 5 ms"), 0) << server.log();
  }
  const nlohmann::json counters = counters_of(server.stop());
  EXPECT_EQ(counters.at("accepted"), answered);
  EXPECT_EQ(counters.at("requests"), answered);
  EXPECT_EQ(counters.at("errors_accept"), occurrences(server.log(), "\n"))
      << "something else was logged: " << server.log();
}

TEST_P(ServerFaultsTest, AnswersThoseInTheKernelsQueueWhenItStopsWithoutDescriptors) {
  constexpr std::size_t limit = 32;
  ServerProcess server(options(), {.open_files = limit});
  std::deque<Client> clients;
  for (std::size_t i = 0; i < limit + 8; ++i) {
    clients.emplace_back(server.port()).send(get_request("/"));
  }
  ASSERT_TRUE(eventually([&] { return occurrences(server.log(), "Too many open files") > 0; }));
  const nlohmann::json counters = counters_of(server.stop());
  for (Client& client : clients) {
    EXPECT_EQ(client.receive().status, 200);
  }
  EXPECT_EQ(counters.at("requests"), clients.size());
}

TEST_P(ServerFaultsTest, AnswersWithoutAThreadAndGoesOnWhenThereAreSome) {
  ServerProcess server(options(), {.unprivileged = true});
  std::deque<Client> served;
  for (int i = 0; i < 3; ++i) {
    served.emplace_back(server.port());
    ASSERT_EQ(served.back().get("/").status, 200);
  }
  const std::size_t threads = thread_count(server.pid());
  server.limit_processes(1);  // the server alone is above it
  for (int i = 0; i < 20; ++i) {
    Client client(server.port());
    const Answer answer = client.get("/");
    ASSERT_EQ(answer.status, 503);
    ASSERT_TRUE(answer.whole);
    ASSERT_TRUE(answer.close);
    ASSERT_EQ(answer.body, "no thread to be had");
    ASSERT_EQ(client.await_end(), End::closed);
  }
  for (Client& client : served) {
    EXPECT_EQ(client.get("/").status, 200);
  }
  EXPECT_EQ(thread_count(server.pid()), threads);
  server.limit_processes({});
  for (int i = 0; i < 3; ++i) {
    served.emplace_back(server.port());
    EXPECT_EQ(served.back().get("/").status, 200);
  }
  EXPECT_EQ(occurrences(server.log(), "\n"), 1) << server.log();
  EXPECT_EQ(
      occurrences(server.log(), "connections rejected: 1, the last with 503: no thread to be had"),
      1);
  const nlohmann::json counters = counters_of(server.stop());
  EXPECT_EQ(counters.at("rejected_no_thread"), 20);
  EXPECT_EQ(counters.at("threads_started"), 6);
  EXPECT_EQ(counters.at("requests"), 9);
}

// A worker that is ready needs no thread: the pool serves on where the other model cannot.
TEST(WorkerPoolFaults, ServesWithTheWorkersItHasWhenThereAreNoThreads) {
  ServerProcess server({"--model", "worker-pool", "--min-workers", "1"}, {.unprivileged = true});
  server.limit_processes(1);
  for (int i = 0; i < 10; ++i) {
    // One client after the other, each when the worker is ready again or with a 503 before that.
    ASSERT_TRUE(
        eventually([&] { return Client(server.port()).get("/", close_field).status == 200; }));
  }
  server.limit_processes({});  // the leak check at the end needs a thread
  const nlohmann::json counters = counters_of(server.stop());
  EXPECT_EQ(counters.at("threads_started"), 1);
  EXPECT_EQ(counters.at("requests"), 10);
}

TEST_P(ServerFaultsTest, ServesHealthyClientsBesideThoseThatStallResetAndNeverRead) {
  ServerProcess server(options({"--drain-timeout", "50ms"}));
  const std::uint16_t port = server.port();
  std::deque<Client> stalled;
  const auto stall = [&](std::string_view sent) { stalled.emplace_back(port).send(sent); };
  std::vector<std::thread> healthy;
  constexpr int rounds = 150;
  for (int t = 0; t < 2; ++t) {
    healthy.emplace_back([&] {
      Client client(port);
      for (int i = 0; i < rounds; ++i) {
        ASSERT_EQ(client.get("/").body, "Hello, World!");
      }
    });
    healthy.emplace_back([&] {
      for (int i = 0; i < rounds; ++i) {
        ASSERT_TRUE(Client(port).get("/", close_field).whole);
      }
    });
  }
  for (int i = 0; i < 5; ++i) {
    stall("");
    stall("GET / HT");
    stall("GET / HTTP/1.1\r\nHost: a\r\nX-Half");
    stall("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf");
    stall("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel");
    stall("");
    for (int k = 0; k < 20; ++k) {  // never reads; more than the two socket buffers hold
      stalled.back().send(get_request("/bytes/1048576"));
    }

    for (const std::string_view sent :
         {std::string_view(), std::string_view("GET / HT"),
          std::string_view("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf"),
          std::string_view("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
          std::string_view("GET /bytes/1048576 HTTP/1.1\r\nHost: a\r\n\r\n")}) {
      Client resetting(port);
      resetting.send(sent);
      resetting.reset();
    }
    Client vanishing(port);  // reads a part of an answer, then is gone: a broken pipe
    vanishing.send(get_request("/bytes/1048576"));
    char byte = 0;
    EXPECT_EQ(recv(vanishing.fd(), &byte, 1, 0), 1);
    vanishing.close();

    Client half_closed(port);
    half_closed.send(get_request("/bytes/100000"));
    half_closed.finish_sending();
    const Answer answer = half_closed.receive();
    EXPECT_EQ(answer.status, 200);
    EXPECT_TRUE(answer.whole);
    EXPECT_EQ(half_closed.await_end(), End::closed);

    Client half_closed_early(port);
    half_closed_early.send("GET / HTTP/1.1\r\nHost: a\r\n");
    half_closed_early.finish_sending();
    EXPECT_EQ(half_closed_early.receive().status, 400);
    EXPECT_EQ(half_closed_early.await_end(), End::closed);
  }
  for (std::thread& thread : healthy) {
    thread.join();
  }
  Client last(port);
  EXPECT_EQ(last.get("/").status, 200);
  EXPECT_EQ(server.log(), "");
  const nlohmann::json line = server.stop();
  const nlohmann::json counters = counters_of(line);
  EXPECT_EQ(counters.at("accepted"), 2 + 2 * rounds + 5 * (6 + 5 + 3) + 1);
  EXPECT_EQ(counters.at("rejected"), 0);
  EXPECT_GE(counters.at("errors_peer").get<int>(), 5);
  // Those that never read may have ended with one last answer, which the kernel keeps for them.
  EXPECT_GE(line.at("drain").at("cut"), stalled.size() - 5) << line;
  EXPECT_EQ(server.log(), "");
}

TEST_P(ServerFaultsTest, CutsThoseWhoExceedATimeoutByItself) {
  ServerProcess server(options({"--header-timeout", "300ms", "--body-timeout", "20ms",
                                "--idle-timeout", "20ms", "--write-timeout", "20ms"}));
  Client silent(server.port());
  EXPECT_EQ(silent.await_end(), End::closed);
  Client half_a_header(server.port());
  half_a_header.send("GET / HTTP/1.1\r\nHo");
  EXPECT_EQ(half_a_header.receive().status, 408);
  Client half_a_body(server.port());
  half_a_body.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf");
  EXPECT_EQ(half_a_body.receive().status, 408);
  Client idle(server.port());
  idle.send(get_request("/"));
  EXPECT_EQ(idle.receive().status, 200);
  EXPECT_EQ(idle.await_end(), End::closed);
  Client never_reads(server.port());
  for (int i = 0; i < 20; ++i) {
    never_reads.send(get_request("/bytes/1048576"));
  }
  ASSERT_TRUE(eventually([&] { return !never_reads.send(get_request("/")); }));
  const nlohmann::json line = server.stop();
  const nlohmann::json counters = counters_of(line);
  EXPECT_EQ(line.at("drain").at("cut"), 0);
  EXPECT_EQ(counters.at("errors_header_timeout"), 2);
  EXPECT_EQ(counters.at("errors_body_timeout"), 1);
  EXPECT_EQ(counters.at("errors_idle_timeout"), 1);
  EXPECT_EQ(counters.at("errors_write_timeout"), 1);
  EXPECT_EQ(server.log(), "");
}

// A byte now and then does not extend the time that a whole header or body has.
TEST_P(ServerFaultsTest, CutsThoseWhoDrip) {
  ServerProcess server(options({"--header-timeout", "100ms", "--body-timeout", "100ms"}));
  for (const std::string_view begin :
       {std::string_view("GET / HTTP/1.1\r\nHost: a\r\nDrip: "),
        std::string_view("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\n"),
        std::string_view("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "bb8\r\n")}) {
    Client client(server.port());
    client.send(begin);
    const auto bound = std::chrono::steady_clock::now() + testing::patience;
    pollfd answered{client.fd(), POLLIN, 0};
    while (poll(&answered, 1, /*milliseconds=*/1) == 0 &&
           std::chrono::steady_clock::now() < bound) {
      client.send("x");
    }
    EXPECT_EQ(client.receive().status, 408) << begin;
    EXPECT_EQ(client.await_end(), End::closed);
  }
  const nlohmann::json counters = counters_of(server.stop());
  EXPECT_EQ(counters.at("errors_header_timeout"), 1);
  EXPECT_EQ(counters.at("errors_body_timeout"), 2);
  EXPECT_EQ(counters.at("requests"), 0);
}

TEST(WorkerPoolFaults, CountsTheQueueAndTheOverflowInItsExitLine) {
  ServerProcess server({"--model", "worker-pool", "--workers", "1", "--queue", "2"});
  Client busy(server.port());
  ASSERT_EQ(busy.get("/").status, 200);
  std::deque<Client> queued;
  for (int i = 0; i < 2; ++i) {
    queued.emplace_back(server.port()).send(get_request("/", close_field));
  }
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Client(server.port()).get("/").status, 503);
  }
  busy.close();
  for (Client& client : queued) {
    EXPECT_EQ(client.receive().status, 200);
  }
  const nlohmann::json counters = counters_of(server.stop());
  EXPECT_EQ(counters.at("accepted"), 6);
  EXPECT_EQ(counters.at("rejected_busy"), 3);
  EXPECT_EQ(counters.at("queued"), 2);
  EXPECT_EQ(counters.at("queue_peak"), 2);
  EXPECT_EQ(counters.at("open_peak"), 3);
  EXPECT_EQ(counters.at("workers_peak"), 1);
  EXPECT_EQ(counters.at("workers_busy_peak"), 1);
  EXPECT_EQ(counters.at("threads_started"), 1);
  EXPECT_GE(counters.at("queue_wait_us"), counters.at("queue_wait_max_us"));
  EXPECT_EQ(occurrences(server.log(), "\n"), 1);
}

TEST(WorkerPoolFaults, TellsInItsExitLineWhoWaitedWhenTheDrainBegan) {
  ServerProcess server(
      {"--model", "worker-pool", "--workers", "1", "--queue", "2", "--drain-timeout", "1ms"});
  Client under_way(server.port());
  ASSERT_TRUE(under_way.begin_post("/echo", 4));
  Client first(server.port());
  Client second(server.port());
  EXPECT_EQ(Client(server.port()).get("/").status, 503);  // the queue is full
  const nlohmann::json drain = server.stop().at("drain");
  EXPECT_EQ(drain.at("cut"), 3);
  EXPECT_EQ(drain.at("connections"),
            nlohmann::json::parse(R"({"open": 3, "new": 0, "active": 1, "idle": 0})"));
  EXPECT_EQ(drain.at("threads"), nlohmann::json({{"busy", 1}, {"ready", 0}}));
  EXPECT_EQ(drain.at("queued"), 2);
}

TEST(ThreadPerConnectionFaults, RejectsPastItsMaximum) {
  ServerProcess server({"--model", "thread-per-connection", "--max-connections", "2"});
  Client first(server.port());
  Client second(server.port());
  ASSERT_EQ(first.get("/").status, 200);
  ASSERT_EQ(second.get("/").status, 200);
  Client third(server.port());
  const Answer answer = third.get("/");
  EXPECT_EQ(answer.status, 503);
  EXPECT_TRUE(answer.close);
  EXPECT_EQ(third.await_end(), End::closed);
  first.close();
  ASSERT_TRUE(
      eventually([&] { return Client(server.port()).get("/", close_field).status == 200; }));
  const nlohmann::json counters = counters_of(server.stop());
  EXPECT_GE(counters.at("rejected_busy"), 1);
  EXPECT_EQ(counters.at("open_peak"), 2);
  EXPECT_EQ(counters.at("threads_started"), 3);
}

}  // namespace
}  // namespace spawnpool
