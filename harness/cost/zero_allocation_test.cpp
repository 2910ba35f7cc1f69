// A warm worker pool with recycled memory allocates nothing on the way of a connection or a
// request, whatever the route. The real server runs with its allocations counted.
#include <gtest/gtest.h>

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

// Every route, and every other way to an answer, with these further header fields.
std::vector<std::string> requests(const std::string& fields) {
  const std::string chunked = "5\r\nhello\r\n0\r\nTrailer: yes\r\n\r\n";
  std::vector<std::string> result;
  for (const char* target : {"/", "/plaintext", "/json", "/echo", "/users/42", "/bytes/1000",
                             "/bytes/100000", "/work?us=1", "/sleep?ms=1", "/nowhere"}) {
    result.push_back(get_request(target, fields));
  }
  result.push_back(get_request("/echo", fields + "X: " + std::string(6000, 'x') + "\r\n"));
  result.push_back(post("/", fields + "Content-Length: 4\r\n", "body"));
  result.push_back(post("/echo", fields + "Content-Length: 4\r\n", "body"));
  result.push_back(post("/echo", fields + "Transfer-Encoding: chunked\r\n", chunked));
  result.push_back(post("/json", fields + "Content-Length: 0\r\n", ""));  // 405
  return result;
}

// Those after which the server closes the connection, whatever else it does.
std::vector<std::string> last_requests() {
  const std::string close = "Connection: close\r\n";
  std::vector<std::string> result = requests(close);
  result.push_back("HEAD / HTTP/1.1\r\nHost: localhost\r\n" + close + "\r\n");
  result.push_back("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n" + close + "\r\n");
  result.emplace_back("GET / HTTP/1.0\r\n\r\n");
  result.emplace_back("GET / HTTP/1.1\r\n\r\n");                                // 400: no Host
  result.push_back(get_request("/", "X: " + std::string(9000, 'x') + "\r\n"));  // 431
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

  // Sends every request over each of these connections, `times` over. An answer stands for all that
  // was done for the request, so the caller reads the count when the last has come.
  static void exchange(std::deque<Client>& clients, const std::vector<std::string>& all,
                       int times) {
    for (int i = 0; i < times; ++i) {
      for (const std::string& request : all) {
        for (Client& client : clients) {
          ASSERT_TRUE(client.send(request));
          ASSERT_TRUE(client.receive().whole) << request;
        }
      }
    }
  }

  // Sends every request over a connection of its own, `times` over. The server must have one worker
  // and a queue: an answer then tells that the worker has done with the connection before.
  void connect(const std::vector<std::string>& all, int times) const {
    for (int i = 0; i < times; ++i) {
      for (const std::string& request : all) {
        Client client(port_);
        ASSERT_TRUE(client.send(request));
        ASSERT_EQ(client.await_end(), End::closed) << request;
      }
    }
    EXPECT_TRUE(Client(port_).get("/plaintext", "Connection: close\r\n").whole);
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

 private:
  AllocationCounter counter_;
  TestChild child_;
  std::uint16_t port_ = 0;
};

std::vector<std::string> pool(const std::vector<std::string>& options) {
  std::vector<std::string> command = {SPAWNPOOL_SERVER, "--model", "worker-pool"};
  command.insert(command.end(), options.begin(), options.end());
  return command;
}

TEST(ZeroAllocations, OverKeptConnections) {
  const CountedServer server(pool({"--workers", "4"}));
  std::deque<Client> clients = server.clients(4);
  CountedServer::exchange(clients, requests(""), 2);
  const std::uint64_t before = server.allocations();
  CountedServer::exchange(clients, requests(""), 15);
  EXPECT_EQ(server.allocations() - before, 0);
}

TEST(ZeroAllocations, OverAConnectionPerRequest) {
  const CountedServer server(
      pool({"--workers", "1", "--queue", "64", "--max-connections-per-address", "100"}));
  server.connect(last_requests(), 2);
  const std::uint64_t before = server.allocations();
  server.connect(last_requests(), 15);
  EXPECT_EQ(server.allocations() - before, 0);
}

TEST(ZeroAllocations, OverRejectedConnections) {
  for (const std::vector<std::string>& limit :
       {std::vector<std::string>{"--workers", "1"},
        std::vector<std::string>{"--workers", "2", "--max-connections-per-address", "1"}}) {
    const CountedServer server(pool(limit));
    std::deque<Client> busy = server.clients(1);
    CountedServer::exchange(busy, requests(""), 2);
    server.connect_rejected(5);
    const std::uint64_t before = server.allocations();
    server.connect_rejected(50);
    EXPECT_EQ(server.allocations() - before, 0);
  }
}

TEST(ZeroAllocations, AreMoreWhenAStringCreepsIn) {
  const CountedServer server({ALLOCATING_SERVER});
  std::deque<Client> clients = server.clients(1);
  CountedServer::exchange(clients, {get_request("/plaintext")}, 5);
  const std::uint64_t before = server.allocations();
  CountedServer::exchange(clients, {get_request("/plaintext")}, 100);
  EXPECT_EQ(server.allocations() - before, 100);
  clients.clear();

  const std::vector<std::string> last = {get_request("/plaintext", "Connection: close\r\n")};
  server.connect(last, 5);
  const std::uint64_t between = server.allocations();
  server.connect(last, 100);
  EXPECT_EQ(server.allocations() - between, 101);  // with the one that connect() ends with
}

}  // namespace
}  // namespace spawnpool::cost
