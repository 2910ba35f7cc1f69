// What is counted of our servers is what valgrind memcheck counts of them under the same load.
#include <gtest/gtest.h>

#include <csignal>
#include <deque>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "harness/cost/counted_server.hpp"
#include "harness/cost/valgrind_totals.hpp"
#include "servers/cli/build_folder.hpp"

namespace spawnpool::cost {
namespace {

using testing::Client;
using testing::get_request;

constexpr int connections = 3;

// Connections one after the other, each with one request for each thing there is to allocate, and
// `requests` more on each of some that are open at once.
void load(std::uint16_t port, int sequential, int requests) {
  const std::vector<Turn> turns = {
      {get_request("/json")},
      {get_request("/users/42", "X: " + std::string(2000, 'x') + "\r\n")},
      {"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30000\r\n\r\n" +
       std::string(30'000, 'x')}};
  std::deque<Client> clients;
  for (int i = 0; i < connections; ++i) {
    clients.emplace_back(port);
  }
  CountedServer::exchange(clients, turns, requests);
  clients.clear();
  for (int i = 0; i < sequential; ++i) {
    Client client(port);
    ASSERT_TRUE(client.send(get_request("/plaintext", "Connection: close\r\n")));
    ASSERT_EQ(client.await_end(), testing::End::closed);
  }
}

// Starts a server, has it loaded, and waits for its end.
void serve(const std::vector<std::string>& command, const std::vector<std::string>& environment,
           int fd, int sequential, int requests) {
  TestChild child(command, environment, fd);
  child.release();
  const nlohmann::json ready = nlohmann::json::parse(child.read_line());
  load(ready.at("port").get<std::uint16_t>(), sequential, requests);
  kill(ready.at("pid").get<pid_t>(), SIGTERM);
  EXPECT_EQ(nlohmann::json::parse(child.read_line()).at("event"), "exit");
  EXPECT_EQ(child.wait(), 0);
}

AllocationCounts counted(const std::vector<std::string>& server, int sequential, int requests) {
  const AllocationCounter counter(counter_library());
  serve(server, counter.environment(), counter.fd(), sequential, requests);
  return counter.read();
}

AllocationCounts valgrinds(std::vector<std::string> server, int sequential, int requests) {
  const std::string path =
      ::testing::TempDir() + "servers_and_valgrind_test." + std::to_string(getpid()) + ".log";
  server.insert(server.begin(), {"valgrind", "--log-file=" + path});
  serve(server, {}, -1, sequential, requests);
  std::ifstream file(path);
  const std::string log{std::istreambuf_iterator<char>(file), {}};
  unlink(path.c_str());
  return valgrind_totals(log);
}

// Of what a long run has more than a short one, by so many connections one after the other.
void expect_agreement(const std::vector<std::string>& options, int sequential) {
  std::vector<std::string> server = {cli::built("bin/spawnpool-server")};
  server.insert(server.end(), options.begin(), options.end());
  const AllocationCounts before = counted(server, 0, 1);
  const AllocationCounts after = counted(server, sequential, 21);
  const AllocationCounts valgrinds_before = valgrinds(server, 0, 1);
  const AllocationCounts valgrinds_after = valgrinds(server, sequential, 21);
  EXPECT_GT(after.allocations - before.allocations, 20 * connections * 3);
  EXPECT_EQ(after.allocations - before.allocations,
            valgrinds_after.allocations - valgrinds_before.allocations);
  EXPECT_EQ(after.frees - before.frees, valgrinds_after.frees - valgrinds_before.frees);
  EXPECT_EQ(after.bytes - before.bytes, valgrinds_after.bytes - valgrinds_before.bytes);
}

// No connections one after the other: whether the stack of the thread before is there to be taken
// is a race, with an allocation at stake.
TEST(CounterAndValgrind, AgreeOnAThreadPerConnection) {
  expect_agreement({"--model", "thread-per-connection"}, 0);
}

TEST(CounterAndValgrind, AgreeOnAWorkerPool) {
  expect_agreement({"--model", "worker-pool", "--memory", "fresh", "--workers", "3",
                    "--min-workers", "3", "--queue", "10"},
                   20);
}

}  // namespace
}  // namespace spawnpool::cost
