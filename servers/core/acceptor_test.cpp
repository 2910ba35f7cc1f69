#include "servers/core/acceptor.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "servers/core/thread_per_connection.hpp"
#include "servers/core/worker_pool.hpp"
#include "servers/testing/captured_log.hpp"
#include "servers/testing/failing_accepts.hpp"
#include "servers/testing/serving.hpp"

namespace spawnpool {
namespace {

using testing::Answer;
using testing::Client;
using testing::eventually;
using testing::occurrences;
using testing::Serving;
using namespace std::chrono_literals;

TEST(AcceptBackoff, DoublesFromFiveMillisecondsToASecondAndBeginsAgainAfterASuccess) {
  AcceptBackoff backoff;
  for (const auto expected : {5ms, 10ms, 20ms, 40ms, 80ms, 160ms, 320ms, 640ms, 1000ms, 1000ms}) {
    EXPECT_EQ(backoff.next(), expected);
  }
  backoff.reset();
  EXPECT_EQ(backoff.next(), 5ms);
  EXPECT_EQ(backoff.next(), 10ms);
}

TEST(LogThrottle, LogsOnceAMinuteWithTheCountSinceTheLastLine) {
  LogThrottle throttle;
  const std::chrono::steady_clock::time_point start{};
  EXPECT_EQ(throttle.count(start), 1);
  EXPECT_EQ(throttle.count(start), std::nullopt);
  EXPECT_EQ(throttle.count(start + 59s), std::nullopt);
  EXPECT_EQ(throttle.count(start + 60s), 3);
  EXPECT_EQ(throttle.count(start + 61s), std::nullopt);
  EXPECT_EQ(throttle.count(start + 24h), 2);
}

class AcceptorTest : public ::testing::Test {
 protected:
  Client connect(const char* source = nullptr) { return Client(serving_.listener.port(), source); }

  testing::CapturedLog log_;
  Serving serving_;
};

TEST_F(AcceptorTest, AnswersThoseThatItCannotHandOverAndLogsItOnce) {
  WorkerPool pool(serving_.state, {.max_workers = 1});
  Acceptor acceptor(serving_.listener, serving_.state, pool);
  Client served = connect();
  ASSERT_EQ(served.get("/").status, 200);
  for (int i = 0; i < 30; ++i) {
    Client rejected = connect();
    const Answer answer = rejected.get("/");
    ASSERT_EQ(answer.status, 503);
    ASSERT_TRUE(answer.close);
    ASSERT_TRUE(answer.whole);
    ASSERT_EQ(answer.body, "all busy");
    ASSERT_NE(answer.head.find("\r\nDate: "), std::string::npos);
    ASSERT_EQ(rejected.await_end(), testing::End::closed);
  }
  EXPECT_EQ(served.get("/").status, 200);
  EXPECT_EQ(serving_.counters.rejected_busy, 30);
  EXPECT_EQ(serving_.counters.accepted, 31);
  EXPECT_EQ(serving_.counters.open_peak, 1) << "a rejected connection was never served";
  EXPECT_EQ(log_.text(),
            "spawnpool-server: connections rejected: 1, the last with 503: all busy\n");
  served.close();
  acceptor.stop();
}

// Far more than LingeringClose holds, none of which reads a byte or closes.
TEST_F(AcceptorTest, IsNotHeldUpByRejectedClientsThatNeverRead) {
  constexpr std::size_t rejected = LingeringClose::capacity + 150;
  WorkerPool pool(serving_.state, {.max_workers = 1});
  Acceptor acceptor(serving_.listener, serving_.state, pool);
  Client served = connect();
  ASSERT_EQ(served.get("/").status, 200);
  std::deque<Client> silent;
  for (std::size_t i = 0; i < rejected; ++i) {
    silent.push_back(connect());
    silent.back().send(testing::get_request("/"));
  }
  ASSERT_TRUE(eventually([&] { return serving_.counters.rejected_busy == rejected; }));
  served.close();
  ASSERT_TRUE(eventually([&] { return pool.sizes().ready == 1; }));
  EXPECT_EQ(connect().get("/", "Connection: close\r\n").status, 200);
  silent.clear();
  acceptor.stop();
}

TEST_F(AcceptorTest, LimitsTheConnectionsOfAnAddress) {
  AddressLimit limit(2);
  serving_.state.addresses = &limit;
  ThreadPerConnection model(serving_.state, MemoryPolicy::fresh, 0);
  Acceptor acceptor(serving_.listener, serving_.state, model);
  Client first = connect("127.0.0.2");
  Client second = connect("127.0.0.2");
  ASSERT_EQ(first.get("/").status, 200);
  ASSERT_EQ(second.get("/").status, 200);
  const Answer refused = connect("127.0.0.2").get("/");
  EXPECT_EQ(refused.status, 429);
  EXPECT_TRUE(refused.close);
  EXPECT_TRUE(refused.whole);
  EXPECT_EQ(connect("127.0.0.3").get("/", "Connection: close\r\n").status, 200);
  first.close();
  ASSERT_TRUE(eventually([&] { return serving_.counters.closed == 2; }));
  Client third = connect("127.0.0.2");
  EXPECT_EQ(third.get("/").status, 200);
  EXPECT_EQ(serving_.counters.rejected_address, 1);
  EXPECT_EQ(serving_.counters.accepted, 5);
  EXPECT_EQ(serving_.counters.open_peak, 3);
  EXPECT_EQ(occurrences(log_.text(), "1, the last with 429: too many connections of this address"),
            1);
  second.close();
  third.close();
  acceptor.stop();
  model.stop();
}

// A connection that a model could not take does not count against its address.
TEST_F(AcceptorTest, GivesTheShareBackOfAConnectionThatWasNotTaken) {
  AddressLimit limit(2);
  serving_.state.addresses = &limit;
  WorkerPool pool(serving_.state, {.max_workers = 1});
  Acceptor acceptor(serving_.listener, serving_.state, pool);
  Client served = connect("127.0.0.2");
  ASSERT_EQ(served.get("/").status, 200);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(connect("127.0.0.2").get("/").status, 503);
  }
  served.close();
  acceptor.stop();
  EXPECT_EQ(serving_.counters.rejected_address, 0);
  EXPECT_EQ(serving_.counters.rejected_busy, 5);
}

TEST_F(AcceptorTest, HandsOverThoseThatTheKernelHasLetIn) {
  WorkerPool pool(serving_.state,
                  {.max_workers = 1, .overflow = WorkerPoolOptions::Overflow::wait});
  Acceptor acceptor(serving_.listener, serving_.state, pool);
  Client served = connect();
  ASSERT_EQ(served.get("/").status, 200);
  std::deque<Client> waiting;  // the first in the accept loop's hand, the others in the kernel
  for (int i = 0; i < 5; ++i) {
    waiting.push_back(connect());
    waiting.back().send(testing::get_request("/", "Connection: close\r\n"));
  }
  acceptor.admit_no_more();
  EXPECT_FALSE(acceptor.wait_until_done(std::chrono::steady_clock::now()));
  EXPECT_THROW(Client(serving_.listener.port(), nullptr, 50ms), testing::ConnectError);
  served.close();
  EXPECT_TRUE(acceptor.wait_until_done(std::chrono::steady_clock::now() + testing::patience));
  for (Client& client : waiting) {
    EXPECT_EQ(client.receive().status, 200);
  }
  acceptor.stop();
  EXPECT_EQ(serving_.counters.accepted, 6);
}

TEST_F(AcceptorTest, RejectsThemWhenItIsToldToGiveUp) {
  WorkerPool pool(serving_.state,
                  {.max_workers = 1, .overflow = WorkerPoolOptions::Overflow::wait});
  Acceptor acceptor(serving_.listener, serving_.state, pool);
  Client served = connect();
  ASSERT_EQ(served.get("/").status, 200);
  std::deque<Client> waiting;
  for (int i = 0; i < 5; ++i) {
    waiting.push_back(connect());
    waiting.back().send(testing::get_request("/"));
  }
  acceptor.stop();
  acceptor.stop();
  for (Client& client : waiting) {
    const Answer answer = client.receive();
    EXPECT_EQ(answer.status, 503);
    EXPECT_TRUE(answer.close);
    EXPECT_TRUE(answer.whole);
  }
  EXPECT_EQ(serving_.counters.rejected_busy, 5);
  EXPECT_EQ(served.get("/").status, 200);
  served.close();
  EXPECT_THROW(connect(), testing::ConnectError);
}

// Whatever accept says, it is tried again after a pause, which grows until one succeeds.
TEST_F(AcceptorTest, WaitsAfterEveryErrorOfAcceptAndGoesOn) {
  const std::vector<int> errors = {ECONNABORTED, EINTR,  EMFILE, ENFILE, ENOBUFS,
                                   ENOMEM,       EPROTO, 0,      EPERM,  ECONNABORTED,
                                   ENETUNREACH,  0,      ENOMEM};
  std::thread bound([&] {  // the filter's, so that no other test has it
    const testing::FailingAccepts failing(errors);
    if (!failing.works()) {
      GTEST_SKIP() << "no seccomp filters that ask for a decision";
    }
    ThreadPerConnection model(serving_.state, MemoryPolicy::fresh, 0);
    Acceptor acceptor(serving_.listener, serving_.state, model);
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(connect().get("/", "Connection: close\r\n").status, 200);
    }
    acceptor.stop();
    model.stop();
    std::string expected;
    int delay_ms = 5;
    for (const int error : errors) {
      if (error == 0) {
        delay_ms = 5;
      } else {
        expected += std::string("spawnpool-server: accept: ") + strerrordesc_np(error) +
                    "; next try in " + std::to_string(delay_ms) + " ms\n";
        delay_ms *= 2;
      }
    }
    EXPECT_EQ(log_.text(), expected);
    EXPECT_EQ(serving_.counters.errors_accept, errors.size() - 2);
    EXPECT_EQ(serving_.counters.accepted, 3);
  });
  bound.join();
}

// Clients that come all the time must not keep the accept loop from its end.
TEST_F(AcceptorTest, EndsUnderAFloodOfClients) {
  ThreadPerConnection model(serving_.state, MemoryPolicy::fresh, 4);
  Acceptor acceptor(serving_.listener, serving_.state, model);
  std::atomic<bool> over = false;
  std::atomic<std::uint64_t> connected = 0;
  std::vector<std::thread> flood;
  for (int i = 0; i < 3; ++i) {
    flood.emplace_back([&] {
      while (!over) {
        try {
          const Client client(serving_.listener.port(), nullptr, 50ms);
          ++connected;
        } catch (const testing::ConnectError&) {
        }
      }
    });
  }
  ASSERT_TRUE(eventually([&] { return connected > 200; }));
  acceptor.admit_no_more();
  EXPECT_TRUE(acceptor.wait_until_done(std::chrono::steady_clock::now() + testing::patience));
  const std::uint64_t accepted = serving_.counters.accepted;
  acceptor.stop();
  EXPECT_EQ(serving_.counters.accepted, accepted);
  over = true;
  for (std::thread& thread : flood) {
    thread.join();
  }
  model.stop();
  EXPECT_EQ(accepted, serving_.counters.closed + serving_.counters.rejected_busy);
  EXPECT_EQ(serving_.registry.open(), 0);
}

}  // namespace
}  // namespace spawnpool
