// A server that is stopped and continued (Ctrl-Z and fg, a debugger, a frozen container) keeps its
// connections. Sockets with time-outs make recv and send come back with EINTR then.
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <optional>
#include <string>

#include "servers/handlers.hpp"
#include "servers/server.hpp"
#include "servers/testing/raw_client.hpp"
#include "servers/testing/response_reader.hpp"

namespace spawnpool {
namespace {

// A server in a process of its own, so that it can be stopped.
class ServerProcess {
 public:
  explicit ServerProcess(Model model) {
    std::array<int, 2> channel{};
    EXPECT_EQ(pipe(channel.data()), 0);
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      ServerOptions options;
      options.model = model;
      const Server server(options, make_routes());
      const std::uint16_t port = server.port();
      if (write(channel[1], &port, sizeof(port)) == sizeof(port)) {
        for (;;) {
          pause();
        }
      }
      _exit(1);
    }
    EXPECT_EQ(read(channel[0], &port_, sizeof(port_)), static_cast<ssize_t>(sizeof(port_)));
    close(channel[0]);
    close(channel[1]);
  }

  ~ServerProcess() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  std::uint16_t port() const { return port_; }

  void stop_and_continue() const {
    int status = 0;
    kill(pid_, SIGSTOP);
    ASSERT_EQ(waitpid(pid_, &status, WUNTRACED), pid_);
    ASSERT_TRUE(WIFSTOPPED(status));
    kill(pid_, SIGCONT);
    ASSERT_EQ(waitpid(pid_, &status, WCONTINUED), pid_);
    ASSERT_TRUE(WIFCONTINUED(status));
  }

 private:
  pid_t pid_ = -1;
  std::uint16_t port_ = 0;
};

class StoppedProcess : public ::testing::TestWithParam<Model> {};

TEST_P(StoppedProcess, KeepsAnIdleConnection) {
  const ServerProcess server(GetParam());
  testing::RawClient client(server.port());
  for (int round = 0; round < 3; ++round) {
    client.send("GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n");
    std::string bytes;
    std::optional<testing::ReceivedResponse> response;
    do {
      const std::string more = client.receive(1);
      ASSERT_FALSE(more.empty()) << "connection closed in round " << round;
      bytes += more;
      response = testing::take_response(bytes, false);
    } while (!response);
    EXPECT_EQ(response->body, "Hello, World!");
    server.stop_and_continue();
  }
}

TEST_P(StoppedProcess, SendsALargeAnswerWhole) {
  const ServerProcess server(GetParam());
  // A small receive buffer keeps the server in its send while it is stopped.
  testing::RawClient client(server.port(), 4096);
  client.send("GET /bytes/1048576 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  ASSERT_TRUE(client.readable_within(10'000));
  server.stop_and_continue();
  std::string bytes = client.receive_all();
  const auto response = testing::take_response(bytes, false);
  ASSERT_TRUE(response);
  EXPECT_EQ(response->body.size(), 1048576U);
}

INSTANTIATE_TEST_SUITE_P(Models, StoppedProcess,
                         ::testing::Values(Model::thread_per_connection, Model::worker_pool));

}  // namespace
}  // namespace spawnpool
