// The real server where the kernel gives it no more memory. Not under a sanitizer, whose allocator
// ends the process then.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>

#include "servers/testing/captured_log.hpp"
#include "servers/testing/client.hpp"
#include "servers/testing/server_process.hpp"

namespace spawnpool {
namespace {

using testing::Answer;
using testing::Client;
using testing::End;
using testing::eventually;
using testing::get_request;
using testing::occurrences;
using testing::ServerProcess;
using testing::thread_count;

// While it lives, a process gets no further memory that can be written.
class NoMemory {
 public:
  explicit NoMemory(pid_t pid) : pid_(pid) {
    if (prlimit(pid_, RLIMIT_DATA, nullptr, &before_) == 0) {
      // Less than it has; for 0 the kernel makes an exception.
      const rlimit least{.rlim_cur = 4096, .rlim_max = before_.rlim_max};
      if (prlimit(pid_, RLIMIT_DATA, &least, nullptr) == 0) {
        return;
      }
    }
    throw std::system_error(errno, std::generic_category(), "prlimit");
  }
  ~NoMemory() { prlimit(pid_, RLIMIT_DATA, &before_, nullptr); }
  NoMemory(const NoMemory&) = delete;
  NoMemory& operator=(const NoMemory&) = delete;

 private:
  pid_t pid_;
  rlimit before_{};
};

void expect_refused(Client& client) {
  const Answer answer = client.receive();
  EXPECT_EQ(answer.status, 503);
  EXPECT_TRUE(answer.body == "out of memory");  // else too long to print
  EXPECT_TRUE(answer.whole);
  EXPECT_TRUE(answer.close);
  EXPECT_EQ(client.await_end(), End::closed);
  client.close();
}

void expect_counted(ServerProcess& server, int refusals) {
  const nlohmann::json counters = server.stop().at("counters");
  EXPECT_EQ(counters.at("errors_memory"), refusals);
  EXPECT_EQ(counters.at("accepted"), counters.at("closed"));
  EXPECT_EQ(occurrences(server.log(), "\n"), static_cast<std::size_t>(refusals)) << server.log();
}

// Buffers of 2 MiB: more than what malloc has left over from before.
const std::vector<std::string> large_buffers = {"--memory", "fresh", "--max-header-bytes",
                                                "1048576"};

std::vector<std::string> with_large_buffers(std::vector<std::string> options) {
  options.insert(options.end(), large_buffers.begin(), large_buffers.end());
  return options;
}

TEST(WorkerPoolMemory, AConnectionWithoutBuffersIsAnswered) {
  ServerProcess server(with_large_buffers({"--model", "worker-pool", "--min-workers", "1"}));
  {
    const NoMemory now(server.pid());
    for (int i = 0; i < 3; ++i) {
      Client client(server.port());
      client.send(get_request("/"));
      expect_refused(client);
    }
  }
  EXPECT_EQ(Client(server.port()).get("/").status, 200);
  expect_counted(server, 3);
}

TEST(ThreadPerConnectionMemory, AConnectionWithoutBuffersIsAnswered) {
  ServerProcess server(with_large_buffers({"--model", "thread-per-connection"}));
  const std::size_t threads = thread_count(server.pid());
  // The second thread joins the first, whose stack the C library then has for the third. Both at
  // once: neither has its buffers from what the other has freed, and the third finds none.
  std::array<Client, 2> before{Client(server.port()), Client(server.port())};
  EXPECT_EQ(before[0].get("/").status, 200);
  EXPECT_EQ(before[1].get("/").status, 200);
  before[0].close();
  ASSERT_TRUE(eventually([&] { return thread_count(server.pid()) == threads + 1; }));
  before[1].close();
  ASSERT_TRUE(eventually([&] { return thread_count(server.pid()) == threads; }));
  {
    const NoMemory now(server.pid());
    Client client(server.port());
    client.send(get_request("/"));
    expect_refused(client);
  }
  EXPECT_EQ(Client(server.port()).get("/").status, 200);
  expect_counted(server, 1);
}

TEST(ConnectionMemory, ARequestWithoutMemoryIsAnswered) {
  for (const char* model : {"thread-per-connection", "worker-pool"}) {
    ServerProcess server({"--model", model});
    Client client(server.port());
    EXPECT_EQ(client.get("/").status, 200);
    {
      const NoMemory now(server.pid());
      client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" +
                  std::string(1'000'000, 'x'));
      expect_refused(client);
    }
    EXPECT_EQ(Client(server.port()).get("/").status, 200);
    expect_counted(server, 1);
  }
}

}  // namespace
}  // namespace spawnpool
