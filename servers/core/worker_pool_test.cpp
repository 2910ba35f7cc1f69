#include "servers/core/worker_pool.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <deque>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "servers/testing/serving.hpp"

namespace spawnpool {
namespace {

using testing::Answer;
using testing::Client;
using testing::End;
using testing::eventually;
using testing::Gate;
using testing::Serving;
using testing::thread_count;
using namespace std::chrono_literals;

using Overflow = WorkerPoolOptions::Overflow;

constexpr std::string_view close_field = "Connection: close\r\n";

std::chrono::steady_clock::time_point now() {
  return std::chrono::steady_clock::now();
}

// Like eventually(), without giving the CPU away.
template <class Condition>
bool spin_until(Condition condition) {
  for (const auto deadline = now() + 20s; now() < deadline;) {
    if (condition()) {
      return true;
    }
  }
  return false;
}

// The test is the accept loop; keep-alive connections keep workers busy.
class WorkerPoolTest : public ::testing::Test {
 protected:
  ~WorkerPoolTest() override {
    clients_.clear();
    Gate::open();
    pool_->cut();
    pool_.reset();
    EXPECT_EQ(serving_.registry.open(), 0);
  }

  WorkerPool& start(const WorkerPoolOptions& options) {
    Gate::close();
    pool_.emplace(serving_.state, options);
    pool_->start();
    return *pool_;
  }

  // A connection that a worker serves already; the thread that does.
  struct Served {
    Client* client;
    std::string thread;
  };
  Served serve() {
    Client& client = clients_.emplace_back(serving_.connect(*pool_));
    return {&client, client.get("/thread").body};
  }

  // Ends the connection and waits until its worker is ready again.
  void end(const Served& served) {
    const std::size_t before = pool_->sizes().ready;
    served.client->close();
    ASSERT_TRUE(eventually([&] { return pool_->sizes().ready == before + 1; }));
  }

  std::uint64_t count(Counters::Count Counters::*counter) const {
    return (serving_.counters.*counter).load();
  }

  Serving serving_;
  std::deque<Client> clients_;
  std::optional<WorkerPool> pool_;
};

TEST_F(WorkerPoolTest, StartsWorkersOnlyWhenThereIsNoneReady) {
  start({.max_workers = 8});
  EXPECT_EQ(pool_->sizes().threads, 0);
  const Served first = serve();
  EXPECT_EQ(pool_->sizes().threads, 1);
  end(first);
  for (int i = 0; i < 5; ++i) {
    const Served again = serve();
    EXPECT_EQ(again.thread, first.thread);
    end(again);
  }
  EXPECT_EQ(count(&Counters::threads_started), 1);
  EXPECT_EQ(count(&Counters::workers_peak), 1);
  EXPECT_EQ(count(&Counters::requests), 6);
}

TEST_F(WorkerPoolTest, NeverExceedsItsMaximum) {
  start({.max_workers = 3});
  for (int i = 0; i < 3; ++i) {
    serve();
  }
  const Client rejected(serving_.listener.port());
  Socket socket = serving_.accept();
  EXPECT_EQ(serving_.hand_over(*pool_, socket), Dispatch::busy);
  EXPECT_TRUE(socket) << "the accept loop has nothing to answer on";
  EXPECT_EQ(pool_->sizes().threads, 3);
  EXPECT_EQ(pool_->sizes().ready, 0);
  EXPECT_EQ(count(&Counters::workers_peak), 3);
  EXPECT_EQ(count(&Counters::workers_busy_peak), 3);
}

// A client that has seen its connection closed is back before the worker is on the stack again.
TEST_F(WorkerPoolTest, TakesAConnectionForAWorkerThatIsOnItsWayBack) {
  start({.max_workers = 1});
  for (int round = 0; round < 3000; ++round) {
    Client client(serving_.listener.port());
    client.send(testing::get_request("/", close_field));
    Socket socket = serving_.accept();
    ASSERT_EQ(serving_.hand_over(*pool_, socket), Dispatch::taken) << "round " << round;
    ASSERT_EQ(client.receive().status, 200);
    // Not the client's view of the close, which comes a little later.
    ASSERT_TRUE(spin_until([&] { return serving_.registry.open() == 0; }));
  }
  EXPECT_EQ(count(&Counters::threads_started), 1);
  EXPECT_EQ(count(&Counters::queued), 0);
}

TEST_F(WorkerPoolTest, StartsTheMinimumAhead) {
  start({.max_workers = 4, .min_workers = 3});
  EXPECT_EQ(pool_->sizes().threads, 3);
  EXPECT_EQ(pool_->sizes().ready, 3);
  EXPECT_EQ(count(&Counters::threads_started), 3);
  for (int i = 0; i < 3; ++i) {
    serve();
  }
  EXPECT_EQ(count(&Counters::threads_started), 3);
  serve();
  EXPECT_EQ(count(&Counters::threads_started), 4);
}

// A worker may be given its first connection before its thread has run at all.
TEST_F(WorkerPoolTest, GivesWorkToWorkersThatAreJustStarting) {
  pool_.emplace(serving_.state, WorkerPoolOptions{.max_workers = 4, .min_workers = 4});
  for (int round = 0; round < 50; ++round) {
    std::deque<Client> clients;
    for (int i = 0; i < 4; ++i) {
      clients.emplace_back(serving_.listener.port()).send(testing::get_request("/", close_field));
    }
    std::array<Socket, 4> sockets;
    for (Socket& socket : sockets) {
      socket = serving_.accept();
    }
    pool_->start();
    for (Socket& socket : sockets) {
      ASSERT_EQ(serving_.hand_over(*pool_, socket), Dispatch::taken);
    }
    for (Client& client : clients) {
      ASSERT_EQ(client.receive().status, 200);
    }
    pool_->stop();
    ASSERT_EQ(serving_.registry.open(), 0);
  }
  EXPECT_EQ(count(&Counters::closed), 200);
}

TEST_F(WorkerPoolTest, UsesTheMostRecentlyReadyWorkerFirst) {
  start({.max_workers = 3});
  const Served a = serve();
  const Served b = serve();
  const Served c = serve();
  end(b);
  end(a);
  end(c);
  EXPECT_EQ(serve().thread, c.thread);
  EXPECT_EQ(serve().thread, a.thread);
  EXPECT_EQ(serve().thread, b.thread);
}

TEST_F(WorkerPoolTest, ReapsThoseThatWereReadyForTooLong) {
  start({.max_workers = 3, .idle_worker_timeout = 1h});
  const Served a = serve();
  const Served b = serve();
  const Served c = serve();
  end(b);
  end(a);
  const auto a_ready = now();
  end(c);
  const auto c_ready = now();
  EXPECT_EQ(pool_->reap(c_ready), 0);
  EXPECT_EQ(pool_->reap(a_ready + 1h), 2);  // b and a, but not c
  EXPECT_EQ(pool_->sizes().threads, 1);
  EXPECT_EQ(pool_->sizes().ready, 1);
  const Served again = serve();
  EXPECT_EQ(again.thread, c.thread);
  end(again);
  EXPECT_EQ(pool_->reap(c_ready + 1h), 0);  // it has been busy since
  EXPECT_EQ(pool_->reap(now() + 1h), 1);
  EXPECT_EQ(pool_->sizes().threads, 0);
  EXPECT_EQ(count(&Counters::workers_reaped), 3);
  serve();  // a reaped pool starts workers anew
  EXPECT_EQ(count(&Counters::threads_started), 4);
}

TEST_F(WorkerPoolTest, ReapsDownToTheMinimumAndNeverABusyOne) {
  start({.max_workers = 5, .min_workers = 2, .idle_worker_timeout = 1s});
  std::vector<Served> all;
  for (int i = 0; i < 5; ++i) {
    all.push_back(serve());
  }
  EXPECT_EQ(pool_->reap(now() + 24h), 0);
  for (int i = 1; i < 5; ++i) {
    end(all[static_cast<std::size_t>(i)]);
  }
  EXPECT_EQ(pool_->reap(now() + 24h), 3);  // one of the two that stay is busy
  EXPECT_EQ(pool_->sizes().threads, 2);
  EXPECT_EQ(pool_->sizes().ready, 1);
  EXPECT_EQ(all[0].client->get("/thread").body, all[0].thread);
  EXPECT_EQ(pool_->reap(now() + 48h), 0);
}

TEST_F(WorkerPoolTest, CanBeStartedAgain) {
  const std::size_t before = thread_count();
  start({.max_workers = 4, .min_workers = 2});
  for (int round = 1; round <= 3; ++round) {
    end(serve());
    pool_->stop();
    EXPECT_EQ(pool_->sizes().threads, 0);
    EXPECT_EQ(pool_->sizes().ready, 0);
    EXPECT_TRUE(eventually([&] { return thread_count() == before; })) << "a worker was not joined";
    EXPECT_EQ(count(&Counters::threads_started), 2 * round);
    pool_->start();
  }
  EXPECT_EQ(serve().client->get("/").status, 200);
  EXPECT_EQ(count(&Counters::requests), 3);  // of the connections that ended
}

TEST_F(WorkerPoolTest, ServesTheQueueInOrder) {
  static std::atomic<int> sequence = 0;
  serving_.router.add(verb::get, "/sequence", [](RequestContext& context) {
    context.response.status = static_cast<unsigned>(201 + sequence++);
  });
  start({.max_workers = 1, .queue_capacity = 4});
  for (int round = 0; round < 3; ++round) {  // the ring's end is passed
    Gate::close();
    sequence = 0;
    Client busy = serving_.connect(*pool_);
    busy.send(testing::get_request("/hold", close_field));
    std::vector<Client> queued;
    for (std::size_t i = 0; i < 3; ++i) {
      queued.push_back(serving_.connect(*pool_));
      queued.back().send(testing::get_request("/sequence", close_field));
      EXPECT_EQ(pool_->sizes().queued, i + 1);
    }
    Gate::open();
    EXPECT_EQ(busy.receive().body, "held");
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(queued[static_cast<std::size_t>(i)].receive().status, 201 + i);
    }
    ASSERT_TRUE(eventually([&] { return pool_->sizes().ready == 1; }));
  }
  EXPECT_EQ(count(&Counters::queued), 9);
  EXPECT_EQ(count(&Counters::queue_peak), 3);
}

TEST_F(WorkerPoolTest, MeasuresTheTimeInTheQueue) {
  start({.max_workers = 1, .queue_capacity = 2});
  const Served busy = serve();
  const auto before = now();
  Client first = serving_.connect(*pool_);
  Client second = serving_.connect(*pool_);
  EXPECT_EQ(count(&Counters::queue_wait_ns), 0);  // known when they leave it
  const auto both_wait = now();
  std::this_thread::yield();
  const auto until = now();
  busy.client->close();
  ASSERT_EQ(first.get("/", close_field).status, 200);
  ASSERT_EQ(second.get("/", close_field).status, 200);
  const auto after = now();
  const std::chrono::nanoseconds sum(count(&Counters::queue_wait_ns));
  const std::chrono::nanoseconds longest(count(&Counters::queue_wait_max_ns));
  EXPECT_GE(longest, until - both_wait);
  EXPECT_LE(longest, after - before);
  EXPECT_GE(sum, longest + (until - both_wait));
  EXPECT_LE(sum, 2 * longest);
}

TEST_F(WorkerPoolTest, RejectsPastTheQueue) {
  start({.max_workers = 1, .queue_capacity = 2});
  const Served busy = serve();
  Client first = serving_.connect(*pool_);
  Client second = serving_.connect(*pool_);
  const Client third(serving_.listener.port());
  EXPECT_EQ(serving_.hand_over(*pool_), Dispatch::busy);
  EXPECT_EQ(pool_->sizes().queued, 2);
  busy.client->close();
  EXPECT_EQ(first.get("/").status, 200);
  Client fourth = serving_.connect(*pool_);  // there is room again
  first.close();
  EXPECT_EQ(second.get("/", close_field).status, 200);
  EXPECT_EQ(fourth.get("/", close_field).status, 200);
  EXPECT_EQ(count(&Counters::queue_peak), 2);
  EXPECT_EQ(count(&Counters::queued), 3);
}

TEST_F(WorkerPoolTest, WaitsForAWorkerWhenToldTo) {
  start({.max_workers = 1, .overflow = Overflow::wait});
  const Served busy = serve();
  Client waiting(serving_.listener.port());
  std::atomic<bool> handed_over = false;
  std::thread accept_loop([&] {
    EXPECT_EQ(serving_.hand_over(*pool_), Dispatch::taken);
    handed_over = true;
  });
  ASSERT_TRUE(eventually([&] { return serving_.registry.open() == 2; }));
  EXPECT_FALSE(handed_over);
  busy.client->close();
  accept_loop.join();
  EXPECT_EQ(waiting.get("/", close_field).status, 200);
}

TEST_F(WorkerPoolTest, FillsTheQueueBeforeItWaits) {
  start({.max_workers = 1, .queue_capacity = 1, .overflow = Overflow::wait});
  const Served busy = serve();
  Client queued = serving_.connect(*pool_);
  Client waiting(serving_.listener.port());
  std::thread accept_loop([&] { EXPECT_EQ(serving_.hand_over(*pool_), Dispatch::taken); });
  ASSERT_TRUE(eventually([&] { return serving_.registry.open() == 3; }));
  busy.client->close();
  accept_loop.join();  // a place in the queue is enough
  EXPECT_EQ(queued.get("/", close_field).status, 200);
  EXPECT_EQ(waiting.get("/", close_field).status, 200);
  EXPECT_EQ(count(&Counters::queued), 2);
}

TEST_F(WorkerPoolTest, StopsWaitingWhenToldTo) {
  start({.max_workers = 1, .overflow = Overflow::wait});
  serve();
  const Client waiting(serving_.listener.port());
  std::thread accept_loop([&] { EXPECT_EQ(serving_.hand_over(*pool_), Dispatch::busy); });
  ASSERT_TRUE(eventually([&] { return serving_.registry.open() == 2; }));
  pool_->stop_waiting();
  accept_loop.join();
  const Client another(serving_.listener.port());
  EXPECT_EQ(serving_.hand_over(*pool_), Dispatch::busy);  // and does not begin to
}

TEST_F(WorkerPoolTest, CutsWhatWaitsInTheQueue) {
  start({.max_workers = 1, .queue_capacity = 2});
  const Served busy = serve();
  Client first = serving_.connect(*pool_);
  Client second = serving_.connect(*pool_);
  pool_->cut();
  EXPECT_EQ(first.await_end(), End::closed);
  EXPECT_EQ(second.await_end(), End::closed);
  EXPECT_EQ(pool_->sizes().queued, 0);
  EXPECT_EQ(serving_.registry.open(), 1);
  EXPECT_EQ(busy.client->get("/").status, 200);
  EXPECT_EQ(count(&Counters::closed), 2);
  EXPECT_GT(count(&Counters::queue_wait_ns), 0);
}

TEST_F(WorkerPoolTest, StopsAfterWhatIsBeingServedAndWhatIsQueued) {
  start({.max_workers = 2, .min_workers = 2, .queue_capacity = 4});
  std::deque<Client> clients;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(serving_.connect(*pool_));
    clients.back().send(testing::get_request("/hold", close_field));
  }
  ASSERT_TRUE(eventually([] { return Gate::held() == 2; }));
  std::thread stopper([&] { pool_->stop(); });
  Gate::open();
  for (Client& client : clients) {
    const Answer answer = client.receive();
    EXPECT_EQ(answer.body, "held");
    EXPECT_TRUE(answer.close);
  }
  stopper.join();
  EXPECT_EQ(pool_->sizes().threads, 0);
  EXPECT_EQ(serving_.registry.open(), 0);
}

TEST_F(WorkerPoolTest, MakesItsMemoryAnewWhenToldTo) {
  start({.max_workers = 2, .memory = MemoryPolicy::fresh});
  const Served first = serve();
  serve();
  end(first);
  const Served again = serve();
  EXPECT_EQ(again.thread, first.thread);
  EXPECT_EQ(again.client->get("/json").body, R"({"message":"Hello, World!"})");
}

// Workers become ready, take from the queue, are reaped and are started again, all at once.
TEST_F(WorkerPoolTest, KeepsItsAccountsUnderReapingAndLoad) {
  constexpr std::uint64_t connections = 400;
  start({.max_workers = 4,
         .queue_capacity = 8,
         .overflow = Overflow::wait,
         .idle_worker_timeout = 1ns});
  std::atomic<bool> done = false;
  std::thread ticker([&] {
    while (!done) {
      pool_->reap(now());
      const ServingModel::Sizes sizes = pool_->sizes();
      EXPECT_LE(sizes.threads, 4);
      EXPECT_LE(sizes.queued, 8);
      EXPECT_TRUE(sizes.ready == 0 || sizes.queued == 0);
    }
  });
  std::atomic<int> left = connections;
  std::atomic<std::uint64_t> answered = 0;
  std::vector<std::thread> load;
  for (int t = 0; t < 4; ++t) {
    load.emplace_back([&] {
      while (left.fetch_sub(1) > 0) {
        answered += Client(serving_.listener.port()).get("/", close_field).whole ? 1 : 0;
      }
    });
  }
  for (std::uint64_t i = 0; i < connections; ++i) {
    EXPECT_EQ(serving_.hand_over(*pool_), Dispatch::taken);
  }
  for (std::thread& thread : load) {
    thread.join();
  }
  EXPECT_TRUE(eventually([&] { return pool_->sizes().threads == 0; }));  // every one reaped
  done = true;
  ticker.join();
  EXPECT_EQ(answered, connections);
  EXPECT_EQ(count(&Counters::closed), connections);
  EXPECT_EQ(count(&Counters::requests), connections);
  EXPECT_EQ(count(&Counters::workers_reaped), count(&Counters::threads_started));
}

}  // namespace
}  // namespace spawnpool
