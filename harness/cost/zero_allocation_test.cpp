// A warm worker pool with recycled memory allocates nothing on the way of a connection or a
// request, whatever the route. The real server runs with its allocations counted.
#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <vector>

#include "harness/cost/counted_server.hpp"
#include "servers/cli/build_folder.hpp"

namespace spawnpool::cost {
namespace {

using testing::Client;
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

std::vector<std::string> pool(const std::vector<std::string>& options) {
  std::vector<std::string> command = {cli::built("bin/spawnpool-server"), "--model", "worker-pool"};
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
  const CountedServer server({cli::built("tests/injecting_server")});
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
