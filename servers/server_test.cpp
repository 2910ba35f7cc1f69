#include "servers/server.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "servers/testing/captured_log.hpp"
#include "servers/testing/serving.hpp"

namespace spawnpool {
namespace {

using testing::Answer;
using testing::Client;
using testing::End;
using testing::eventually;
using testing::Gate;
using testing::get_request;
using testing::thread_count;
using namespace std::chrono_literals;

using Overflow = WorkerPoolOptions::Overflow;

constexpr std::string_view close_field = "Connection: close\r\n";

// A server of the test's options, which must end with every account in order.
class ServerTest : public ::testing::Test {
 protected:
  ServerTest() { Gate::close(); }

  ~ServerTest() override {
    Gate::open();
    clients_.clear();
    drain();
  }

  void start(ServerOptions options) {
    threads_before_ = thread_count();
    server_.emplace(options, testing::make_test_routes());
  }

  Client& connect() { return clients_.emplace_back(server_->port()); }

  // A client that waits for its next request.
  Client& connect_idle() {
    Client& client = connect();
    EXPECT_EQ(client.get("/").status, 200);
    return client;
  }

  // Sends `count` requests that stay in the handler until the gate is opened.
  std::deque<Client> hold(std::size_t count) {
    const std::size_t before = Gate::held();
    std::deque<Client> result;
    for (std::size_t i = 0; i < count; ++i) {
      result.emplace_back(server_->port()).send(get_request("/hold"));
    }
    EXPECT_TRUE(eventually([&] { return Gate::held() == before + count; }));
    return result;
  }

  std::future<DrainReport> begin_drain() {
    return std::async(std::launch::async, [this] { return server_->drain(); });
  }

  // Ends the server and checks what must hold whatever happened before.
  DrainReport drain() {
    if (!server_) {
      return {};
    }
    const DrainReport report = server_->drain();
    const Counters& counters = server_->counters();
    EXPECT_EQ(counters.accepted, counters.closed + counters.rejected_busy +
                                     counters.rejected_address + counters.rejected_no_thread);
    EXPECT_EQ(server_->connections().open, 0);
    EXPECT_EQ(server_->threads().threads, 0);
    EXPECT_EQ(server_->threads().queued, 0);
    EXPECT_TRUE(eventually([&] { return thread_count() == threads_before_; }));
    EXPECT_THROW(Client(server_->port()), testing::ConnectError);
    server_.reset();
    return report;
  }

  std::size_t threads_before_ = 0;
  std::deque<Client> clients_;
  std::optional<Server> server_;
};

// What both models must do, with either memory.
class EitherServerTest : public ServerTest,
                         public ::testing::WithParamInterface<std::pair<Model, MemoryPolicy>> {
 protected:
  static ServerOptions options() {
    return {.model = GetParam().first, .memory = GetParam().second, .pool = {.max_workers = 32}};
  }
};

INSTANTIATE_TEST_SUITE_P(
    Models, EitherServerTest,
    ::testing::Values(std::pair(Model::thread_per_connection, MemoryPolicy::fresh),
                      std::pair(Model::thread_per_connection, MemoryPolicy::reused),
                      std::pair(Model::worker_pool, MemoryPolicy::fresh),
                      std::pair(Model::worker_pool, MemoryPolicy::reused)),
    [](const auto& each) {
      return std::string(each.param.first == Model::worker_pool ? "Pool" : "Thread") +
             (each.param.second == MemoryPolicy::fresh ? "Fresh" : "Reused");
    });

TEST_P(EitherServerTest, EndsWithoutEverAConnection) {
  start(options());
  const DrainReport report = drain();
  EXPECT_EQ(report.cut, 0);
  EXPECT_EQ(report.connections.open, 0);
}

TEST_P(EitherServerTest, EndsByItsDestructor) {
  const std::size_t before = thread_count();
  {
    Server server(options(), testing::make_test_routes());
    EXPECT_EQ(Client(server.port()).get("/", close_field).status, 200);
  }
  EXPECT_TRUE(eventually([&] { return thread_count() == before; }));
}

TEST_P(EitherServerTest, DrainsOnce) {
  start(options());
  connect_idle();
  EXPECT_EQ(server_->drain().connections.open, 1);
  EXPECT_EQ(server_->drain().connections.open, 0);
  EXPECT_EQ(server_->counters().requests, 1);
}

TEST_P(EitherServerTest, CountsConnectionsByState) {
  start(options());
  std::deque<Client> active = hold(2);
  connect();
  for (int i = 0; i < 3; ++i) {
    connect_idle();
  }
  ASSERT_TRUE(eventually([&] {
    const OpenConnections now = server_->connections();
    return now.open == 6 && now.fresh == 1 && now.active == 2 && now.idle == 3;
  }));
  EXPECT_EQ(server_->threads().threads - server_->threads().ready, 6);
  EXPECT_EQ(server_->counters().accepted, 6);
  EXPECT_EQ(server_->counters().closed, 0);
  Gate::open();
  for (Client& client : active) {
    EXPECT_EQ(client.receive().body, "held");
  }
  ASSERT_TRUE(eventually([&] { return server_->connections().idle == 5; }));
  EXPECT_EQ(server_->connections().active, 0);
  clients_.clear();
  active.clear();
  ASSERT_TRUE(eventually([&] { return server_->connections().open == 0; }));
  EXPECT_EQ(server_->counters().requests, 5);
  EXPECT_TRUE(eventually([&] { return server_->counters().closed == 6; }));
  // Noted by the accept loop after it has handed the connection over, which may be already over
  // then.
  EXPECT_TRUE(eventually([&] { return server_->counters().open_peak == 6; }));
}

TEST_P(EitherServerTest, EndsIdleConnectionsInTheDrain) {
  start(options());
  for (int i = 0; i < 10; ++i) {
    connect_idle();
  }
  ASSERT_TRUE(eventually([&] { return server_->connections().idle == 10; }));
  const DrainReport report = server_->drain();
  EXPECT_EQ(report.connections.open, 10);
  EXPECT_EQ(report.connections.idle, 10);
  EXPECT_EQ(report.cut, 0);
  for (Client& client : clients_) {
    EXPECT_EQ(client.await_end(), End::closed);
  }
}

TEST_P(EitherServerTest, EndsConnectionsThatNeverSentAByteInTheDrain) {
  start(options());
  connect();
  connect();
  ASSERT_TRUE(eventually([&] { return server_->connections().fresh == 2; }));
  const DrainReport report = server_->drain();
  EXPECT_EQ(report.connections.fresh, 2);
  EXPECT_EQ(report.cut, 0);
  for (Client& client : clients_) {
    EXPECT_EQ(client.await_end(), End::closed);
  }
}

TEST_P(EitherServerTest, AnswersEveryRequestUnderWayInTheDrain) {
  start(options());
  Client& idle = connect_idle();
  std::deque<Client> active = hold(8);
  std::future<DrainReport> drained = begin_drain();
  EXPECT_EQ(idle.await_end(), End::closed);  // the drain has begun
  EXPECT_EQ(server_->connections().active, 8);
  Gate::open();
  for (Client& client : active) {
    const Answer answer = client.receive();
    EXPECT_EQ(answer.body, "held");
    EXPECT_TRUE(answer.whole);
    EXPECT_TRUE(answer.close);
    EXPECT_EQ(client.await_end(), End::closed);
    client.close();
  }
  const DrainReport report = drained.get();
  EXPECT_EQ(report.connections.active, 8);
  EXPECT_EQ(report.threads.threads - report.threads.ready, 9);
  EXPECT_EQ(report.threads.queued, 0);
  EXPECT_EQ(report.cut, 0);
  EXPECT_EQ(server_->counters().requests, 9);
}

// What a client has pipelined behind the last request is not answered, and must not destroy the
// answers before it.
TEST_P(EitherServerTest, LosesNoAnswerToAClientThatSentMoreThanIsAnswered) {
  start(options());
  Client& idle = connect_idle();
  std::deque<Client> active = hold(1);
  std::future<DrainReport> drained = begin_drain();
  EXPECT_EQ(idle.await_end(), End::closed);
  for (int i = 0; i < 500; ++i) {
    active[0].send(get_request("/"));
  }
  Gate::open();
  const Answer answer = active[0].receive();
  EXPECT_EQ(answer.body, "held");
  EXPECT_TRUE(answer.close);
  EXPECT_EQ(active[0].await_end(), End::closed);
  active.clear();
  EXPECT_EQ(drained.get().cut, 0);
}

// In one segment, so that the client is woken up once.
TEST_P(EitherServerTest, SendsTheEndOfAConnectionWithItsLastAnswer) {
  start(options());
  for (const char* path : {"/", "/bytes/5000"}) {  // copied behind its head, and gathered
    for (int i = 0; i < 50; ++i) {
      Client& client = connect();
      EXPECT_EQ(client.get(path, close_field).status, 200);
      char byte = 0;
      EXPECT_EQ(recv(client.fd(), &byte, 1, MSG_DONTWAIT), 0) << "the end is not there yet";
      client.close();
    }
  }
}

TEST_P(EitherServerTest, CutsWhatIsNotDoneInTime) {
  ServerOptions given = options();
  given.drain_timeout = 20ms;
  start(given);
  Client sleeping(server_->port());
  sleeping.send(get_request("/sleep?ms=60000"));
  Client working(server_->port());
  working.send(get_request("/work?us=10000000"));
  Client half_a_header(server_->port());
  half_a_header.send("GET / HTTP/1.1\r\nHo");
  Client half_a_body(server_->port());
  half_a_body.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345");
  Client never_reads(server_->port());
  never_reads.send(get_request("/huge"));
  ASSERT_TRUE(eventually([&] { return server_->connections().active == 5; }));
  const DrainReport report = server_->drain();
  EXPECT_EQ(report.cut, 5);
  EXPECT_EQ(report.connections.active, 5);
  EXPECT_LT(report.duration, 30s);  // not the minute that the handler wanted
  const Counters& counters = server_->counters();
  EXPECT_EQ(counters.errors_protocol, 0) << "being cut is nobody's error";
  EXPECT_EQ(counters.errors_peer, 0);
  EXPECT_EQ(counters.errors_write_timeout, 0);
}

// Connection per request: each that the server accepted got its whole answer.
TEST_P(EitherServerTest, LosesNoAcceptedConnectionUnderLoad) {
  start(options());
  std::atomic<std::uint64_t> whole = 0;
  std::atomic<std::uint64_t> broken = 0;
  std::vector<std::thread> load;
  for (int t = 0; t < 6; ++t) {
    load.emplace_back([&, port = server_->port()] {
      try {
        for (;;) {
          Client client(port, nullptr, 100ms);  // on this machine a handshake waits for nobody
          const Answer answer = client.get("/", close_field);
          if (answer.whole && answer.status == 200 && answer.close) {
            ++whole;
          } else if (!answer.head.empty()) {
            ++broken;
          }
        }
      } catch (const testing::ConnectError&) {  // the drain has begun
      }
    });
  }
  ASSERT_TRUE(eventually([&] { return whole > 300; }));
  const DrainReport report = server_->drain();
  for (std::thread& thread : load) {
    thread.join();
  }
  EXPECT_EQ(report.cut, 0);
  EXPECT_EQ(broken, 0);
  EXPECT_EQ(whole, server_->counters().accepted);
  EXPECT_EQ(whole, server_->counters().requests);
}

// Kept connections: every request that the server took was answered whole, and at the end each
// connection ended between two answers.
TEST_P(EitherServerTest, LosesNoRequestOfKeptConnectionsUnderLoad) {
  start(options());
  std::atomic<std::uint64_t> whole = 0;
  std::atomic<std::uint64_t> broken = 0;
  std::vector<std::thread> load;
  for (int t = 0; t < 6; ++t) {
    load.emplace_back([&, client = Client(server_->port())]() mutable {
      for (bool going_on = true; going_on;) {
        const Answer answer = client.get("/bytes/5000");
        whole += answer.whole ? 1 : 0;
        broken += !answer.whole && !answer.head.empty() ? 1 : 0;
        going_on = answer.whole && !answer.close;
      }
    });
  }
  ASSERT_TRUE(eventually([&] { return whole > 1000; }));
  const DrainReport report = server_->drain();
  for (std::thread& thread : load) {
    thread.join();
  }
  EXPECT_EQ(report.cut, 0);
  EXPECT_EQ(broken, 0);
  EXPECT_EQ(whole, server_->counters().requests);
  EXPECT_EQ(server_->counters().accepted, 6);
}

TEST_P(EitherServerTest, LimitsTheConnectionsOfAnAddress) {
  const testing::CapturedLog log;
  ServerOptions given = options();
  given.max_connections_per_address = 1;
  start(given);
  connect_idle();
  EXPECT_EQ(Client(server_->port()).get("/").status, 429);
  EXPECT_EQ(Client(server_->port(), "127.0.0.2").get("/").status, 200);
  EXPECT_EQ(server_->counters().rejected_address, 1);
}

class PoolServerTest : public ServerTest {};

TEST_F(PoolServerTest, AnswersTheQueueInTheDrain) {
  start({.model = Model::worker_pool, .pool = {.max_workers = 2, .queue_capacity = 5}});
  Client& idle = connect_idle();
  std::deque<Client> active = hold(1);
  for (int i = 0; i < 5; ++i) {
    connect().send(get_request("/json"));
  }
  ASSERT_TRUE(eventually([&] { return server_->threads().queued == 5; }));
  EXPECT_EQ(server_->connections().open, 7);
  std::future<DrainReport> drained = begin_drain();
  EXPECT_EQ(idle.await_end(), End::closed);
  for (std::size_t i = 1; i <= 5; ++i) {
    const Answer answer = clients_[i].receive();
    EXPECT_EQ(answer.status, 200);
    EXPECT_TRUE(answer.whole);
    EXPECT_TRUE(answer.close);
  }
  Gate::open();
  EXPECT_EQ(active[0].receive().body, "held");
  active.clear();
  clients_.clear();
  const DrainReport report = drained.get();
  EXPECT_EQ(report.threads.threads, 2);
  EXPECT_EQ(report.threads.ready, 0);
  EXPECT_EQ(report.threads.queued, 5);
  EXPECT_EQ(report.cut, 0);
  EXPECT_EQ(server_->counters().requests, 7);
  EXPECT_EQ(server_->counters().queued, 5);
  EXPECT_EQ(server_->counters().queue_peak, 5);
  EXPECT_EQ(server_->counters().workers_peak, 2);
}

// In the accept loop's hand and in the kernel's queue: they were let in, so they are served.
TEST_F(PoolServerTest, AnswersThoseThatWaitToBeAcceptedInTheDrain) {
  start({.model = Model::worker_pool,
         .pool = {.max_workers = 2, .queue_capacity = 1, .overflow = Overflow::wait}});
  Client& idle = connect_idle();
  std::deque<Client> active = hold(1);
  for (int i = 0; i < 10; ++i) {
    connect().send(get_request("/json"));
  }
  ASSERT_TRUE(eventually([&] { return server_->connections().open == 4; }));
  std::future<DrainReport> drained = begin_drain();
  EXPECT_EQ(idle.await_end(), End::closed);
  for (std::size_t i = 1; i <= 10; ++i) {
    const Answer answer = clients_[i].receive();
    EXPECT_EQ(answer.status, 200);
    EXPECT_TRUE(answer.close);
  }
  Gate::open();
  EXPECT_EQ(active[0].receive().body, "held");
  active.clear();
  clients_.clear();
  EXPECT_EQ(drained.get().cut, 0);
  EXPECT_EQ(server_->counters().accepted, 12);
  EXPECT_EQ(server_->counters().rejected_busy, 0);
}

TEST_F(PoolServerTest, RejectsThemAndCutsTheQueueWhenTheTimeIsUp) {
  const testing::CapturedLog log;
  start({.model = Model::worker_pool,
         .drain_timeout = 20ms,
         .pool = {.max_workers = 1, .queue_capacity = 2, .overflow = Overflow::wait}});
  std::deque<Client> active = hold(1);
  for (int i = 0; i < 6; ++i) {
    connect().send(get_request("/json"));
  }
  ASSERT_TRUE(eventually([&] { return server_->connections().open == 4; }));
  const DrainReport report = server_->drain();
  EXPECT_EQ(report.cut, 3);  // the held one and two in the queue
  EXPECT_EQ(server_->counters().accepted, 7);
  EXPECT_EQ(server_->counters().rejected_busy, 4);
  for (std::size_t i = 2; i < 6; ++i) {
    EXPECT_EQ(clients_[i].receive().status, 503);
  }
}

// A connection that comes from the queue in the drain and never sends must not hold it up.
TEST_F(PoolServerTest, EndsConnectionsFromTheQueueThatNeverSendInTheDrain) {
  start({.model = Model::worker_pool,
         .drain_timeout = testing::patience,
         .pool = {.max_workers = 1, .queue_capacity = 4}});
  Client& idle = connect_idle();
  connect();
  connect();
  ASSERT_TRUE(eventually([&] { return server_->threads().queued == 2; }));
  std::future<DrainReport> drained = begin_drain();
  EXPECT_EQ(idle.await_end(), End::closed);
  const DrainReport report = drained.get();
  EXPECT_EQ(report.cut, 0);
  EXPECT_EQ(server_->counters().errors_header_timeout, 0);
}

TEST_F(PoolServerTest, LosesNoAcceptedConnectionUnderOverload) {
  for (const Overflow overflow : {Overflow::reject, Overflow::wait}) {
    const testing::CapturedLog log;
    start({.model = Model::worker_pool,
           .memory = MemoryPolicy::reused,
           .pool = {.max_workers = 2, .queue_capacity = 1, .overflow = overflow}});
    std::atomic<std::uint64_t> served = 0;
    std::atomic<std::uint64_t> rejected = 0;
    std::atomic<std::uint64_t> broken = 0;
    std::vector<std::thread> load;
    for (int t = 0; t < 8; ++t) {
      load.emplace_back([&, port = server_->port()] {
        try {
          for (;;) {
            Client client(port, nullptr, 100ms);
            const Answer answer = client.get("/sleep?ms=1", close_field);
            if (answer.whole && answer.close) {
              ++(answer.status == 200 ? served : rejected);
            } else if (!answer.head.empty()) {
              ++broken;
            }
          }
        } catch (const testing::ConnectError&) {
        }
      });
    }
    ASSERT_TRUE(eventually([&] { return served > 100; }));
    ASSERT_TRUE(overflow == Overflow::wait || eventually([&] { return rejected > 20; }));
    EXPECT_EQ(server_->drain().cut, 0);
    for (std::thread& thread : load) {
      thread.join();
    }
    const Counters& counters = server_->counters();
    EXPECT_EQ(broken, 0);
    EXPECT_EQ(served, counters.requests);
    EXPECT_EQ(rejected, counters.rejected_busy);
    EXPECT_EQ(served + rejected, counters.accepted);
    EXPECT_LE(testing::occurrences(log.text(), "\n"), 1);  // at most one line a minute
    if (overflow == Overflow::wait) {
      EXPECT_EQ(rejected, 0);
    }
    drain();
  }
}

TEST_F(PoolServerTest, ReapsIdleWorkersByItself) {
  start({.model = Model::worker_pool,
         .pool = {.max_workers = 4, .min_workers = 1, .idle_worker_timeout = 1ms}});
  for (int i = 0; i < 4; ++i) {
    connect_idle();
  }
  EXPECT_EQ(server_->threads().threads, 4);
  clients_.clear();
  EXPECT_TRUE(eventually([&] { return server_->threads().threads == 1; }));
  EXPECT_EQ(server_->counters().workers_reaped, 3);
}

TEST(ServerStart, LeavesNothingBehindWhenItFails) {
  const std::size_t before = thread_count();
  const Server first({.model = Model::worker_pool}, testing::make_test_routes());
  const std::size_t with_one = thread_count();
  EXPECT_GT(with_one, before);
  const ServerOptions same_port{.model = Model::worker_pool,
                                .port = first.port(),
                                .pool = {.max_workers = 4, .min_workers = 4}};
  EXPECT_THROW(Server(same_port, testing::make_test_routes()), ListenError);
  EXPECT_TRUE(eventually([&] { return thread_count() == with_one; }));
}

}  // namespace
}  // namespace spawnpool
