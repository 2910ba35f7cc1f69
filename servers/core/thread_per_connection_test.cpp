#include "servers/core/thread_per_connection.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "servers/testing/serving.hpp"

namespace spawnpool {
namespace {

using testing::Client;
using testing::eventually;
using testing::Gate;
using testing::Serving;
using testing::thread_count;

constexpr std::string_view close_field = "Connection: close\r\n";

class ThreadPerConnectionTest : public ::testing::Test {
 protected:
  Serving serving_;
};

TEST_F(ThreadPerConnectionTest, GivesEachConnectionAThreadOfItsOwn) {
  const std::size_t before = thread_count();
  ThreadPerConnection model(serving_.state, MemoryPolicy::fresh, 0);
  std::deque<Client> clients;
  std::set<std::string> threads;
  for (std::size_t i = 1; i <= 20; ++i) {
    const std::string thread = clients.emplace_back(serving_.connect(model)).get("/thread").body;
    EXPECT_TRUE(threads.insert(thread).second) << "two connections share thread " << thread;
    EXPECT_EQ(model.sizes().threads, i);
    EXPECT_EQ(thread_count(), before + i);
  }
  EXPECT_EQ(clients.front().get("/thread").body.empty(), false);
  clients.clear();
  EXPECT_TRUE(eventually([&] { return model.sizes().threads == 0; }));
  EXPECT_TRUE(eventually([&] { return thread_count() == before; }));
  EXPECT_EQ(serving_.counters.threads_started, 20);
  EXPECT_EQ(serving_.counters.requests, 21);
}

TEST_F(ThreadPerConnectionTest, JoinsEveryThreadWhenStopped) {
  const std::size_t before = thread_count();
  ThreadPerConnection model(serving_.state, MemoryPolicy::fresh, 0);
  std::deque<Client> clients;
  Gate::close();
  for (int i = 0; i < 10; ++i) {
    clients.push_back(serving_.connect(model));
    clients.back().send(testing::get_request("/hold", close_field));
  }
  ASSERT_TRUE(eventually([] { return Gate::held() == 10; }));
  std::thread stopper([&] { model.stop(); });
  Gate::open();
  stopper.join();
  EXPECT_EQ(model.sizes().threads, 0);
  EXPECT_EQ(serving_.counters.closed, 10);
  for (Client& client : clients) {
    EXPECT_EQ(client.receive().body, "held");
  }
  EXPECT_TRUE(eventually([&] { return thread_count() == before; }));
  model.stop();                                                          // nothing left to do
  EXPECT_EQ(serving_.connect(model).get("/", close_field).status, 200);  // but it can go on
}

// Ended threads that nobody joins would each keep a stack until the process runs out of memory.
TEST_F(ThreadPerConnectionTest, ServesOneConnectionAfterTheOtherFromSeveralClients) {
  constexpr int connections = 600;
  const std::size_t before = thread_count();
  ThreadPerConnection model(serving_.state, MemoryPolicy::fresh, 0);
  std::vector<std::thread> load;
  for (int t = 0; t < 3; ++t) {
    load.emplace_back([&] {
      for (int i = 0; i < connections / 3; ++i) {
        ASSERT_TRUE(Client(serving_.listener.port()).get("/", close_field).whole);
      }
    });
  }
  for (int i = 0; i < connections; ++i) {
    ASSERT_EQ(serving_.hand_over(model), Dispatch::taken);
  }
  for (std::thread& thread : load) {
    thread.join();
  }
  model.stop();
  EXPECT_TRUE(eventually([&] { return thread_count() == before; }));
  EXPECT_EQ(serving_.counters.threads_started, connections);
  EXPECT_EQ(serving_.counters.requests, connections);
  EXPECT_EQ(serving_.counters.closed, connections);
}

TEST_F(ThreadPerConnectionTest, HoldsTheMaximumOfConnectionsWhenThereIsOne) {
  ThreadPerConnection model(serving_.state, MemoryPolicy::fresh, 2);
  Client first = serving_.connect(model);
  Client second = serving_.connect(model);
  Socket rejected;
  const Client third(serving_.listener.port());
  rejected = serving_.accept();
  EXPECT_EQ(serving_.hand_over(model, rejected), Dispatch::busy);
  EXPECT_TRUE(rejected) << "the accept loop has nothing to answer on";
  EXPECT_EQ(first.get("/", close_field).status, 200);
  ASSERT_TRUE(eventually([&] { return serving_.registry.open() == 1; }));
  Client fourth = serving_.connect(model);
  EXPECT_EQ(fourth.get("/").status, 200);
  EXPECT_EQ(second.get("/").status, 200);
  EXPECT_EQ(serving_.counters.threads_started, 3);
  second.close();
  fourth.close();
  model.stop();
}

TEST_F(ThreadPerConnectionTest, HandsMemoryOnWhenToldTo) {
  ThreadPerConnection model(serving_.state, MemoryPolicy::reused, 0);
  for (int i = 0; i < 50; ++i) {
    Client client = serving_.connect(model);
    ASSERT_EQ(client.get("/json", close_field).body, R"({"message":"Hello, World!"})");
  }
  model.stop();
  EXPECT_EQ(serving_.counters.threads_started, 50);
}

}  // namespace
}  // namespace spawnpool
