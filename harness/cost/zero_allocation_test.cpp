// A warm worker pool with recycled memory allocates nothing on the way of a connection or a
// request, whatever the route. The real server runs with its allocations counted.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <deque>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "harness/cost/allocation_counter.hpp"
#include "harness/cost/test_child.hpp"
#include "servers/testing/client.hpp"

namespace spawnpool::cost {
namespace {

using testing::Client;
using testing::End;
using testing::get_request;

std::string post(const std::string& target, const std::string& fields, const std::string& body) {
  return "POST " + target + " HTTP/1.1\r\nHost: localhost\r\n" + fields + "\r\n" + body;
}

std::string post_sized(const std::string& fields, std::size_t size) {
  return post("/echo", fields + "Content-Length: " + std::to_string(size) + "\r\n",
              std::string(size, 'x'));
}

std::string post_chunked(const std::string& fields, std::size_t size) {
  constexpr std::size_t chunk_size = 5000;
  std::string body;
  for (std::size_t i = 0; i < size; i += chunk_size) {
    body += "1388\r\n" + std::string(chunk_size, 'x') + "\r\n";
  }
  return post("/echo", fields + "Transfer-Encoding: chunked\r\n",
              body + "0\r\nTrailer: yes\r\n\r\n");
}

// Bodies within the first reserve of a parser's memory, and far beyond it.
constexpr std::size_t body_sizes[] = {5, 60'000, 500'000};

// Every route, and every other way to an answer, with these further header fields.
std::vector<std::string> requests(const std::string& fields) {
  std::vector<std::string> result;
  for (const char* target : {"/", "/plaintext", "/json", "/echo", "/users/42", "/bytes/1000",
                             "/bytes/100000", "/work?us=1", "/sleep?ms=1", "/nowhere"}) {
    result.push_back(get_request(target, fields));
  }
  result.push_back(get_request("/echo", fields + "X: " + std::string(6000, 'x') + "\r\n"));
  result.push_back(post("/", fields + "Content-Length: 4\r\n", "body"));
  for (const std::size_t size : body_sizes) {
    result.push_back(post_sized(fields, size));
    result.push_back(post_chunked(fields, size));
  }
  result.push_back(post("/json", fields + "Content-Length: 0\r\n", ""));  // 405
  result.push_back("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n" + fields + "\r\n");
  return result;
}

// What a client sends, and how many answers it awaits before it goes on.
struct Turn {
  std::string bytes;
  int answers = 1;
  bool to_head = false;
};

// What can be asked on a connection that is kept.
std::vector<Turn> turns() {
  std::vector<Turn> result;
  std::string pipelined;
  for (const std::string& request : requests("")) {
    result.push_back({request});
  }
  for (int i = 0; i < 50; ++i) {
    pipelined += get_request("/json") + post_sized("", 60'000) + get_request("/echo", "X: y\r\n");
  }
  result.push_back({pipelined, 150});
  result.push_back({"HEAD /bytes/100000 HTTP/1.1\r\nHost: localhost\r\n\r\n", 1, true});
  for (const std::size_t size : body_sizes) {
    const std::string whole = post_sized("Expect: 100-continue\r\n", size);
    result.push_back({whole.substr(0, whole.size() - size)});  // 100
    result.push_back({whole.substr(whole.size() - size)});
  }
  return result;
}

// Those after which the server closes the connection, whatever else it does.
std::vector<std::string> last_requests() {
  const std::string close = "Connection: close\r\n";
  std::vector<std::string> result = requests(close);
  result.push_back("HEAD / HTTP/1.1\r\nHost: localhost\r\n" + close + "\r\n");
  result.emplace_back("GET / HTTP/1.0\r\n\r\n");
  result.emplace_back("GET / HTTP/1.1\r\n\r\n");                                // 400: no Host
  result.push_back(get_request("/", "X: " + std::string(9000, 'x') + "\r\n"));  // 431
  result.push_back(post_sized("", 2'000'000));                                  // 413
  return result;
}

// A server with counted allocations; ended with the object.
class CountedServer {
 public:
  explicit CountedServer(const std::vector<std::string>& command)
      : counter_(ALLOCATION_LIBRARY), child_(command, counter_.environment(), counter_.fd()) {
    child_.release();
    port_ = nlohmann::json::parse(child_.read_line()).at("port").get<std::uint16_t>();
    EXPECT_TRUE(counter_.attached());
  }

  // Takes every turn on each of these connections, `times` over. An answer stands for all that was
  // done for the request, so the caller reads the count when the last has come.
  static void exchange(std::deque<Client>& clients, const std::vector<Turn>& all, int times) {
    for (int i = 0; i < times; ++i) {
      for (const Turn& turn : all) {
        for (Client& client : clients) {
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
        std::deque<Client> at_once = clients(workers);
        for (Client& client : at_once) {
          client.send(request);  // not all of it when it is refused
        }
        for (Client& client : at_once) {
          ASSERT_EQ(client.await_end(), End::closed) << request.substr(0, 200);
        }
      }
    }
    hold_all(workers);
  }

  // A connection with one request for each worker, all at once: none has its body before all are
  // under way. They end in an order that differs from call to call, and with it that of the ready
  // workers.
  void hold_all(int workers) const {
    std::deque<Client> held = clients(workers);
    for (Client& client : held) {
      ASSERT_TRUE(client.begin_post("/echo", 60'000, "Connection: close\r\n"));
    }
    std::rotate(held.begin(), held.begin() + turn_++ % workers, held.end());
    for (Client& client : held) {
      ASSERT_TRUE(client.send(std::string(60'000, 'x')));
      ASSERT_TRUE(client.receive().whole);
      ASSERT_EQ(client.await_end(), End::closed);
    }
  }

  // Clients that come while the server can serve no more.
  void connect_rejected(int times) const {
    for (int i = 0; i < times; ++i) {
      const int status = Client(port_).get("/").status;
      EXPECT_TRUE(status == 503 || status == 429) << status;
    }
  }

  std::deque<Client> clients(int count) const {
    std::deque<Client> result;
    for (int i = 0; i < count; ++i) {
      result.emplace_back(port_);
    }
    return result;
  }

  std::uint64_t allocations() const { return counter_.read().allocations; }

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

std::vector<std::string> pool(const std::vector<std::string>& options) {
  std::vector<std::string> command = {SPAWNPOOL_SERVER, "--model", "worker-pool"};
  command.insert(command.end(), options.begin(), options.end());
  return command;
}

TEST(ZeroAllocations, OverKeptConnections) {
  const CountedServer server(pool({"--workers", "4"}));
  std::deque<Client> clients = server.clients(4);
  CountedServer::exchange(clients, turns(), 2);
  const std::uint64_t before = server.allocations();
  CountedServer::exchange(clients, turns(), 10);
  EXPECT_EQ(server.allocations() - before, 0);
}

// Also of what the memory of a request must hold: /echo gives the header back.
TEST(ZeroAllocations, WithTheLargestHeaders) {
  const CountedServer server(pool({"--workers", "1", "--max-header-bytes", "1048576"}));
  const std::vector<Turn> large = {
      {get_request("/echo", "X: " + std::string(200'000, 'x') + "\r\n")},
      {get_request("/echo", "X: " + std::string(1'000'000, 'x') + "\r\n")}};
  std::deque<Client> clients = server.clients(1);
  CountedServer::exchange(clients, large, 2);
  const std::uint64_t before = server.allocations();
  CountedServer::exchange(clients, large, 10);
  EXPECT_EQ(server.allocations() - before, 0);
}

TEST(ZeroAllocations, OverAConnectionPerRequest) {
  for (const int workers : {1, 4}) {
    const std::string number = std::to_string(workers);
    CountedServer server(pool({"--workers", number, "--min-workers", number, "--queue", "64",
                               "--max-connections-per-address", "100"}));
    std::deque<Client> clients = server.clients(workers);  // each worker has its share of the first
    CountedServer::exchange(clients, turns(), 2);
    clients.clear();
    server.connect(last_requests(), 1, workers);
    const std::uint64_t before = server.allocations();
    server.connect(last_requests(), 10, workers);
    for (int i = 0; i < 20; ++i) {
      server.hold_all(workers);
    }
    EXPECT_EQ(server.allocations() - before, 0);
    const nlohmann::json counters = server.stop();
    EXPECT_EQ(counters.at("workers_busy_peak"), workers);
    EXPECT_EQ(counters.at("threads_started"), workers);
    EXPECT_EQ(counters.at("rejected"), 0);
  }
}

TEST(ZeroAllocations, OverRejectedConnections) {
  for (const std::vector<std::string>& limit :
       {std::vector<std::string>{"--workers", "1"},
        std::vector<std::string>{"--workers", "2", "--max-connections-per-address", "1"}}) {
    const CountedServer server(pool(limit));
    std::deque<Client> busy = server.clients(1);
    CountedServer::exchange(busy, turns(), 2);
    server.connect_rejected(5);
    const std::uint64_t before = server.allocations();
    server.connect_rejected(50);
    EXPECT_EQ(server.allocations() - before, 0);
  }
}

TEST(ZeroAllocations, AreMoreWhenAStringCreepsIn) {
  const CountedServer server({ALLOCATING_SERVER});
  std::deque<Client> clients = server.clients(1);
  CountedServer::exchange(clients, {{get_request("/plaintext")}}, 5);
  const std::uint64_t before = server.allocations();
  CountedServer::exchange(clients, {{get_request("/plaintext")}}, 100);
  EXPECT_EQ(server.allocations() - before, 100);
  clients.clear();

  const std::vector<std::string> last = {get_request("/plaintext", "Connection: close\r\n")};
  server.connect(last, 5, 1);
  const std::uint64_t between = server.allocations();
  server.connect(last, 100, 1);
  EXPECT_EQ(server.allocations() - between, 100);
}

}  // namespace
}  // namespace spawnpool::cost
