#include "servers/core/lingering_close.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "servers/core/listener.hpp"
#include "servers/testing/client.hpp"

namespace spawnpool {
namespace {

using testing::Client;
using testing::End;
using testing::eventually;
using testing::thread_count;

class LingeringCloseTest : public ::testing::Test {
 protected:
  struct Pair {
    Client client;
    Socket server;
  };

  Pair connect() {
    Client client(listener_.port());
    return {std::move(client), Socket(accept(listener_.fd(), nullptr, nullptr))};
  }

  // The server's end, with an answer under way that the client has not read.
  static Socket answered(Pair& pair) {
    EXPECT_EQ(send(pair.server.fd(), "answer", 6, MSG_NOSIGNAL), 6);
    return std::move(pair.server);
  }

  // What the client reads to the end; "reset" when the answer was destroyed.
  static std::string read_all(const Client& client) {
    std::string result;
    char part[64];
    ssize_t n = 0;
    while ((n = recv(client.fd(), part, sizeof(part), 0)) > 0) {
      result.append(part, static_cast<std::size_t>(n));
    }
    return n == 0 ? result : "reset";
  }

  Listener listener_{"127.0.0.1", 0, 1024, {}};
};

TEST_F(LingeringCloseTest, KeepsAnAnswerFromAClientThatGoesOnSending) {
  LingeringClose closer(testing::patience);
  Pair pair = connect();
  ASSERT_TRUE(pair.client.send("unread"));
  closer.close(answered(pair));
  for (int i = 0; i < 20; ++i) {  // a close() would have answered these with a reset
    ASSERT_TRUE(pair.client.send(std::string(10'000, 'x')));
  }
  EXPECT_EQ(read_all(pair.client), "answer");
  pair.client.close();
}

TEST_F(LingeringCloseTest, LetsGoOfAClientThatNeverCloses) {
  LingeringClose closer(std::chrono::milliseconds(1));
  Pair pair = connect();
  closer.close(std::move(pair.server));
  // Once the socket is closed, what is sent is answered with a reset.
  EXPECT_TRUE(eventually([&] { return !pair.client.send("x"); }));
}

TEST_F(LingeringCloseTest, FinishesAtOnceWhenItHoldsNothing) {
  const std::size_t before = thread_count();
  LingeringClose closer;
  closer.finish();
  closer.finish();
  EXPECT_TRUE(eventually([&] { return thread_count() == before; }));
}

TEST_F(LingeringCloseTest, FinishesWithTheAnswerOfASlowClientKept) {
  LingeringClose closer(testing::patience);
  Pair pair = connect();
  ASSERT_TRUE(pair.client.send("unread"));
  closer.close(answered(pair));
  std::thread finisher([&] { closer.finish(); });
  ASSERT_TRUE(pair.client.send("more"));
  EXPECT_EQ(read_all(pair.client), "answer");
  pair.client.close();  // what finish() waits for
  finisher.join();
}

TEST_F(LingeringCloseTest, ClosesWhatComesAfterTheEnd) {
  LingeringClose closer;
  closer.finish();
  Pair pair = connect();
  ASSERT_TRUE(pair.client.send("unread"));
  closer.close(answered(pair));
  EXPECT_EQ(read_all(pair.client), "answer");  // what had come in was read, so that none resets
}

TEST_F(LingeringCloseTest, ClosesWithoutWaitingPastItsCapacity) {
  LingeringClose closer(std::chrono::hours(1));
  std::vector<Pair> pairs;
  for (std::size_t i = 0; i < LingeringClose::capacity + 8; ++i) {
    pairs.push_back(connect());
    ASSERT_TRUE(pairs.back().client.send("unread"));
    closer.close(answered(pairs.back()));
  }
  for (const Pair& pair : pairs) {
    EXPECT_EQ(read_all(pair.client), "answer");
  }
  for (std::size_t i = LingeringClose::capacity; i < pairs.size(); ++i) {
    ASSERT_TRUE(eventually([&] { return !pairs[i].client.send("x"); })) << "held, " << i;
  }
  for (Pair& pair : pairs) {
    pair.client.close();
  }
  closer.finish();
}

TEST_F(LingeringCloseTest, TakesSocketsFromManyThreadsAndForgetsThoseWhosePeerIsGone) {
  LingeringClose closer;
  constexpr int rounds = 300;  // with two threads, more than its capacity
  const auto work = [&] {
    for (int i = 0; i < rounds; ++i) {
      Client client(listener_.port());
      Socket accepted(accept(listener_.fd(), nullptr, nullptr));
      send(accepted.fd(), "answer", 6, MSG_NOSIGNAL);
      closer.close(std::move(accepted));
      client.await_end();
      if (i % 2 == 0) {
        client.reset();
      }
    }
  };
  std::thread first(work);
  std::thread second(work);
  first.join();
  second.join();
  closer.finish();
}

}  // namespace
}  // namespace spawnpool
