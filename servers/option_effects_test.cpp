// What the limits of a connection do, given as options to the real spawnpool-server: each has a
// value far from every default and from every other's, so that one that is taken for another shows.
#include <gtest/gtest.h>

#include <chrono>
#include <ctime>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "servers/testing/client.hpp"
#include "servers/testing/server_process.hpp"

namespace spawnpool {
namespace {

using testing::Answer;
using testing::Client;
using testing::End;
using testing::eventually;
using testing::get_request;
using testing::ServerProcess;

class OptionEffects : public ::testing::TestWithParam<const char*> {
 protected:
  static std::vector<std::string> options(const std::vector<std::string>& more) {
    std::vector<std::string> result = {"--model", GetParam()};
    result.insert(result.end(), more.begin(), more.end());
    return result;
  }
};

INSTANTIATE_TEST_SUITE_P(Models, OptionEffects,
                         ::testing::Values("thread-per-connection", "worker-pool"),
                         [](const auto& each) {
                           return std::string_view(each.param) == "worker-pool" ? "Pool" : "Thread";
                         });

TEST_P(OptionEffects, MaxRequestsPerConnectionClosesAfterThatMany) {
  ServerProcess server(options({"--max-requests-per-connection", "3"}));
  Client client(server.port());
  EXPECT_FALSE(client.get("/").close);
  EXPECT_FALSE(client.get("/").close);
  const Answer last = client.get("/");
  EXPECT_EQ(last.status, 200);
  EXPECT_TRUE(last.close);
  EXPECT_EQ(client.await_end(), End::closed);
  client.close();  // or the server would linger
  EXPECT_EQ(server.stop().at("counters").at("requests"), 3);
}

TEST_P(OptionEffects, MaxHeaderBytesRefusesOneMore) {
  ServerProcess server(options({"--max-header-bytes", "300"}));
  const auto status_of_size = [&](std::size_t size) {
    const std::size_t rest = get_request("/", "X: \r\n").size();
    Client client(server.port());
    client.send(get_request("/", "X: " + std::string(size - rest, 'x') + "\r\n"));
    return client.receive().status;
  };
  EXPECT_EQ(status_of_size(300), 200);
  EXPECT_EQ(status_of_size(301), 431);
}

TEST_P(OptionEffects, MaxBodyBytesRefusesOneMore) {
  ServerProcess server(options({"--max-body-bytes", "200"}));
  const auto status_of_size = [&](std::size_t size) {
    Client client(server.port());
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(size) +
                "\r\n\r\n" + std::string(size, 'x'));
    return client.receive().status;
  };
  EXPECT_EQ(status_of_size(200), 200);
  EXPECT_EQ(status_of_size(201), 413);
}

std::chrono::nanoseconds cpu_time(pid_t pid) {
  clockid_t clock{};
  timespec now{};
  if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &now) != 0) {
    throw std::runtime_error("the server's CPU time cannot be read");
  }
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

// Every try is a system call: a thousand of them are not to be had for less than 10 µs. A server
// that only waits uses next to nothing.
TEST_P(OptionEffects, ReceiveSpinSpendsCpuTimeOnAnIdleConnection) {
  ServerProcess server(options({"--receive-spin", "1000000"}));
  const auto before = cpu_time(server.pid());
  const Client silent(server.port());
  EXPECT_TRUE(
      eventually([&] { return cpu_time(server.pid()) - before > std::chrono::milliseconds(10); }));
}

// Which time-out a client exceeds, by what it does until the connection has ended.
struct TimeoutCase {
  std::string option;
  std::string counter;
  std::function<void(Client&)> exceed;
};

// Reads and sends a byte at a time, so that the answers get on but never come to their end.
void drip(Client& client) {
  for (int i = 0; i < 20; ++i) {  // more than the two socket buffers hold
    client.send(get_request("/bytes/1048576"));
  }
  EXPECT_TRUE(eventually([&] {
    char byte = 0;
    return recv(client.fd(), &byte, 1, 0) != 1 || !client.send("x");
  }));
}

const std::vector<TimeoutCase> timeouts = {
    {"--header-timeout", "errors_header_timeout",
     [](Client& client) {
       client.send("GET / HTTP/1.1\r\nHo");
       EXPECT_EQ(client.receive().status, 408);
       EXPECT_EQ(client.await_end(), End::closed);
     }},
    {"--header-timeout", "errors_header_timeout",
     [](Client& client) { EXPECT_EQ(client.await_end(), End::closed); }},
    {"--body-timeout", "errors_body_timeout",
     [](Client& client) {
       EXPECT_TRUE(client.begin_post("/echo", 4));
       EXPECT_EQ(client.receive().status, 408);
       EXPECT_EQ(client.await_end(), End::closed);
     }},
    {"--write-timeout", "errors_write_timeout", drip},
    {"--idle-timeout", "errors_idle_timeout",
     [](Client& client) {
       EXPECT_EQ(client.get("/").status, 200);
       EXPECT_EQ(client.await_end(), End::closed);
     }},
};

// All others are an hour, which no test awaits.
TEST_P(OptionEffects, EachTimeoutEndsWhatItIsFor) {
  for (const TimeoutCase& each : timeouts) {
    std::map<std::string, std::string> values = {{"--header-timeout", "1h"},
                                                 {"--body-timeout", "1h"},
                                                 {"--write-timeout", "1h"},
                                                 {"--idle-timeout", "1h"}};
    values[each.option] = "50ms";
    std::vector<std::string> given;
    for (const auto& [option, value] : values) {
      given.insert(given.end(), {option, value});
    }
    ServerProcess server(options(given));
    Client client(server.port());
    each.exceed(client);
    client.close();
    const nlohmann::json counters = server.stop().at("counters");
    for (const char* counter : {"errors_header_timeout", "errors_body_timeout",
                                "errors_write_timeout", "errors_idle_timeout"}) {
      EXPECT_EQ(counters.at(counter), counter == each.counter ? 1 : 0) << each.option;
    }
  }
}

std::ptrdiff_t open_files(pid_t pid) {
  return std::distance(std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd"),
                       {});
}

TEST(WorkerPoolOptionEffects, OverflowLetsClientsWaitOrRefusesThem) {
  for (const bool wait : {true, false}) {
    ServerProcess server(
        {"--model", "worker-pool", "--workers", "1", "--overflow", wait ? "wait" : "reject"});
    Client under_way(server.port());
    ASSERT_TRUE(under_way.begin_post("/echo", 4, "Connection: close\r\n"));
    const std::ptrdiff_t files = open_files(server.pid());
    Client next(server.port());
    next.send(get_request("/"));
    if (wait) {
      EXPECT_TRUE(eventually([&] { return open_files(server.pid()) > files; })) << "not accepted";
    } else {
      EXPECT_EQ(next.receive().status, 503);
    }
    under_way.send("body");
    EXPECT_EQ(under_way.receive().body, "body");
    if (wait) {
      EXPECT_EQ(next.receive().status, 200);
    }
    next.close();
    EXPECT_EQ(server.stop().at("counters").at("rejected"), wait ? 0 : 1);
  }
}

}  // namespace
}  // namespace spawnpool
