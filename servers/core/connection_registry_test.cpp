#include "servers/core/connection_registry.hpp"

#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <optional>
#include <thread>

#include "servers/testing/serving.hpp"

namespace spawnpool {
namespace {

using testing::Client;
using testing::End;
using testing::eventually;
using testing::Serving;
using namespace std::chrono_literals;

std::chrono::steady_clock::time_point now() {
  return std::chrono::steady_clock::now();
}

class ConnectionRegistryTest : public ::testing::Test {
 protected:
  // A connection that nobody serves: it stays fresh, and what comes in stays in its socket.
  void connect() {
    client_.emplace(serving_.listener.port());
    connection_.emplace(serving_.accept(), serving_.state, memory_);
    registry_.admit();
    registry_.add(*connection_);
  }

  // Serves the connection on a thread of its own.
  std::thread serve_another() {
    client_.emplace(serving_.listener.port());
    registry_.admit();
    return std::thread([this, socket = serving_.accept()]() mutable {
      ConnectionMemory memory(serving_.limits, MemoryPolicy::fresh, serving_.stop);
      Connection(std::move(socket), serving_.state, memory).serve();
    });
  }

  Serving serving_;
  ConnectionRegistry& registry_ = serving_.registry;
  ConnectionMemory memory_{serving_.limits, MemoryPolicy::fresh, serving_.stop};
  std::optional<Client> client_;
  std::optional<Connection> connection_;
};

TEST_F(ConnectionRegistryTest, CountsWhatIsAdmitted) {
  EXPECT_TRUE(registry_.wait_until_empty(now()));
  registry_.admit();
  registry_.admit();
  EXPECT_EQ(registry_.open(), 2);
  EXPECT_FALSE(registry_.wait_until_empty(now()));
  registry_.dismiss();
  EXPECT_EQ(registry_.open(), 1);
  std::thread last([&] { registry_.dismiss(); });
  EXPECT_TRUE(registry_.wait_until_empty(now() + testing::patience));
  last.join();
}

TEST_F(ConnectionRegistryTest, KnowsTheStateOfAConnectionAllItsLife) {
  testing::Gate::close();
  std::thread server = serve_another();
  ASSERT_TRUE(eventually([&] { return registry_.states().fresh == 1; }));
  client_->send(testing::get_request("/hold"));
  ASSERT_TRUE(eventually([&] { return registry_.states().active == 1; }));
  EXPECT_EQ(registry_.states().fresh, 0);
  testing::Gate::open();
  EXPECT_EQ(client_->receive().body, "held");
  ASSERT_TRUE(eventually([&] { return registry_.states().idle == 1; }));
  EXPECT_EQ(registry_.states().active, 0);
  EXPECT_EQ(registry_.end_idle(false), 1);
  server.join();
  EXPECT_EQ(registry_.open(), 0);
  EXPECT_EQ(registry_.states().idle, 0);
  EXPECT_EQ(client_->await_end(), End::closed);
}

TEST_F(ConnectionRegistryTest, EndsFreshConnectionsOnlyWhenAsked) {
  connect();
  EXPECT_EQ(registry_.end_idle(/*fresh=*/false), 0);
  EXPECT_EQ(registry_.end_idle(/*fresh=*/true), 1);
  char byte = 0;
  EXPECT_EQ(recv(connection_->fd(), &byte, 1, MSG_DONTWAIT), 0);  // its thread would see the end
  registry_.remove(*connection_);
}

// A request that is arriving when the drain begins must come in whole.
TEST_F(ConnectionRegistryTest, LeavesAConnectionAloneThatARequestIsArrivingOn) {
  connect();
  ASSERT_TRUE(client_->send("GET / HT"));
  EXPECT_EQ(registry_.end_idle(/*fresh=*/true), 0);
  ASSERT_TRUE(client_->send("TP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
  registry_.remove(*connection_);
  registry_.admit();
  connection_->serve();
  const testing::Answer answer = client_->receive();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "Hello, World!");
}

TEST_F(ConnectionRegistryTest, CutsWhateverAConnectionDoes) {
  testing::Gate::close();
  std::thread server = serve_another();
  client_->send(testing::get_request("/hold"));
  ASSERT_TRUE(eventually([&] { return testing::Gate::held() == 1; }));
  EXPECT_EQ(registry_.cut_all(), 1);
  testing::Gate::open();
  server.join();
  EXPECT_EQ(client_->receive().status, 0);  // nothing comes through
  EXPECT_EQ(registry_.open(), 0);
}

TEST_F(ConnectionRegistryTest, KeepsItsListThroughEveryOrderOfLeaving) {
  std::deque<Client> clients;
  std::deque<Connection> connections;
  const auto add_three = [&] {
    clients.clear();
    connections.clear();
    for (int i = 0; i < 3; ++i) {
      clients.emplace_back(serving_.listener.port());
      registry_.admit();
      registry_.add(connections.emplace_back(serving_.accept(), serving_.state, memory_));
    }
  };
  for (const auto& order :
       {std::array{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}) {
    add_three();
    std::size_t left = 3;
    for (const int i : order) {
      EXPECT_EQ(registry_.states().fresh, left);
      registry_.remove(connections[static_cast<std::size_t>(i)]);
      EXPECT_EQ(registry_.states().fresh, --left);
    }
    EXPECT_EQ(registry_.open(), 0);
  }
}

}  // namespace
}  // namespace spawnpool
