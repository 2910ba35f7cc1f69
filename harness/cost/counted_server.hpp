// A server of ours for tests, with its allocations counted, and its clients.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <deque>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "harness/cost/allocation_counter.hpp"
#include "harness/cost/counter_library.hpp"
#include "harness/cost/test_child.hpp"
#include "servers/testing/client.hpp"

namespace spawnpool::cost {

// What a client sends, and how many answers it awaits before it goes on.
struct Turn {
  std::string bytes;
  int answers = 1;
  bool to_head = false;
};

// Ended with the object.
class CountedServer {
 public:
  explicit CountedServer(const std::vector<std::string>& command)
      : counter_(counter_library()), child_(command, counter_.environment(), counter_.fd()) {
    child_.release();
    port_ = nlohmann::json::parse(child_.read_line()).at("port").get<std::uint16_t>();
    EXPECT_TRUE(counter_.attached());
  }

  // Takes every turn on each of these connections, `times` over. An answer stands for all that was
  // done for the request, so the caller reads the count when the last has come.
  static void exchange(std::deque<testing::Client>& clients, const std::vector<Turn>& all,
                       int times) {
    for (int i = 0; i < times; ++i) {
      for (const Turn& turn : all) {
        for (testing::Client& client : clients) {
          ASSERT_TRUE(client.send(turn.bytes));
          for (int k = 0; k < turn.answers; ++k) {
            ASSERT_TRUE(client.receive(turn.to_head).whole) << turn.bytes.substr(0, 200);
          }
        }
      }
    }
  }

  // Sends every request over a connection of its own, `times` over; as many of them at once as the
  // server has workers. The server must have a queue: that every worker gives an answer afterwards
  // tells that it has done with its connection before.
  void connect(const std::vector<std::string>& all, int times, int workers) const {
    for (int i = 0; i < times; ++i) {
      for (const std::string& request : all) {
        std::deque<testing::Client> at_once = clients(workers);
        for (testing::Client& client : at_once) {
          client.send(request);  // not all of it when it is refused
        }
        for (testing::Client& client : at_once) {
          ASSERT_EQ(client.await_end(), testing::End::closed) << request.substr(0, 200);
        }
      }
    }
    hold_all(workers);
  }

  // A connection with one request for each worker, all at once: none has its body before all are
  // under way. They end in an order that differs from call to call, and with it that of the ready
  // workers.
  void hold_all(int workers) const {
    std::deque<testing::Client> held = clients(workers);
    for (testing::Client& client : held) {
      ASSERT_TRUE(client.begin_post("/echo", 60'000, "Connection: close\r\n"));
    }
    std::rotate(held.begin(), held.begin() + turn_++ % workers, held.end());
    for (testing::Client& client : held) {
      ASSERT_TRUE(client.send(std::string(60'000, 'x')));
      ASSERT_TRUE(client.receive().whole);
      ASSERT_EQ(client.await_end(), testing::End::closed);
    }
  }

  // Clients that come while the server can serve no more.
  void connect_rejected(int times) const {
    for (int i = 0; i < times; ++i) {
      const int status = testing::Client(port_).get("/").status;
      EXPECT_TRUE(status == 503 || status == 429) << status;
    }
  }

  std::deque<testing::Client> clients(int count) const {
    std::deque<testing::Client> result;
    for (int i = 0; i < count; ++i) {
      result.emplace_back(port_);
    }
    return result;
  }

  std::uint64_t allocations() const { return counter_.read().allocations; }
  const AllocationCounter& counter() const { return counter_; }

  // Ends the server and returns the counters of its exit line.
  nlohmann::json stop() {
    kill(child_.pid(), SIGTERM);
    return nlohmann::json::parse(child_.read_line()).at("counters");
  }

 private:
  AllocationCounter counter_;
  TestChild child_;
  std::uint16_t port_ = 0;
  mutable int turn_ = 0;
};

}  // namespace spawnpool::cost
