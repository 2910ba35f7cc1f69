// Ten thousand idle connections, a thread each, and what they cost in memory.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <deque>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "servers/testing/client.hpp"
#include "servers/testing/server_process.hpp"

namespace spawnpool {
namespace {

using testing::Client;
using testing::ServerProcess;
using testing::thread_count;

#ifdef SPAWNPOOL_SANITIZED
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

// The sanitizers bound the threads of a process and have their own use of memory.
constexpr std::size_t connections = sanitized ? 500 : 10'000;
constexpr std::size_t max_kb_per_connection = 40;

// Room for as many descriptors as there are connections. Root may exceed the hard limit.
bool raise_descriptor_limit() {
  constexpr rlim_t needed = connections + 200;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = std::max(limit.rlim_cur, needed);
  limit.rlim_max = std::max(limit.rlim_max, needed);
  return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

TEST(IdleConnections, AreHeldByTheThousandsWithLittleMemoryEach) {
  if (!raise_descriptor_limit()) {
    GTEST_SKIP() << "the hard limit of open files is below " << connections
                 << "; raise it with ulimit -Hn";
  }
  ServerProcess server({"--model", "thread-per-connection"});  // inherits the limit
  std::deque<Client> idle;
  // Together, so that the two processes need not take turns; fewer than the backlog.
  const auto connect = [&](std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      idle.emplace_back(server.port()).send(testing::get_request("/"));
    }
    for (auto client = idle.end() - static_cast<std::ptrdiff_t>(count); client != idle.end();
         ++client) {
      ASSERT_EQ(client->receive().status, 200) << "the server's log: " << server.log();
    }
  };
  ASSERT_NO_FATAL_FAILURE(connect(1));  // with it comes what is made once for all
  const std::size_t threads_before = thread_count(server.pid());
  const std::size_t kb_before = server.resident_kb();
  constexpr std::size_t batch = 500;
  for (std::size_t i = 0; i < connections; i += batch) {
    ASSERT_NO_FATAL_FAILURE(connect(batch));
  }
  EXPECT_EQ(thread_count(server.pid()), threads_before + connections);
  const double kb = static_cast<double>(server.resident_kb() - kb_before) / connections;
  std::cout << "resident kB per idle connection: " << kb << '\n';
  RecordProperty("resident_kb_per_idle_connection", std::to_string(kb));
  if (!sanitized) {
    EXPECT_LE(kb, max_kb_per_connection);
  }

  EXPECT_EQ(idle.front().get("/").status, 200);  // they are alive, the first and the last
  EXPECT_EQ(idle.back().get("/").status, 200);
  const nlohmann::json line = server.stop();
  EXPECT_EQ(line.at("drain").at("connections").at("open"), connections + 1);
  EXPECT_EQ(line.at("drain").at("cut"), 0);
  EXPECT_EQ(line.at("counters").at("accepted"), connections + 1);
  EXPECT_EQ(line.at("counters").at("closed"), connections + 1);
  EXPECT_EQ(line.at("counters").at("open_peak"), connections + 1);
  EXPECT_EQ(line.at("counters").at("threads_started"), connections + 1);
  EXPECT_EQ(server.log(), "");
}

}  // namespace
}  // namespace spawnpool
