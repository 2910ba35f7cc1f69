#include "harness/trial/http_client.hpp"

#include <gtest/gtest.h>

#include "harness/trial/child_process.hpp"
#include "harness/trial/testing/trial_process.hpp"

namespace spawnpool::trial {
namespace {

using namespace std::chrono_literals;

TEST(RequestBytes, HoldEverythingInAFixedOrder) {
  const Endpoint endpoint{"127.0.0.1", 8080};
  EXPECT_EQ(request_bytes({"GET", "/a?b=c", {}, ""}, endpoint, false),
            "GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n");
  EXPECT_EQ(request_bytes({"GET", "/", {{"B", "2"}, {"A", "1"}}, ""}, endpoint, true),
            "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nConnection: close\r\nA: 1\r\nB: 2\r\n\r\n");
  const std::string body("a\0b", 3);
  EXPECT_EQ(request_bytes({"POST", "/echo", {}, body}, endpoint, false),
            "POST /echo HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Length: 3\r\n\r\n" + body);
  EXPECT_EQ(request_bytes({"POST", "/", {}, ""}, endpoint, false),
            "POST / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Length: 0\r\n\r\n");
}

class HttpClientTest : public ::testing::Test {
 protected:
  void start(std::vector<std::string> arguments) {
    endpoint_.port = free_port();
    ChildOptions options;
    options.argv = {testing::fixture_program(), "--port", std::to_string(endpoint_.port)};
    options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
    server_.emplace(waiter_, guard_, options);
    ASSERT_TRUE(testing::await(
        [this] { return accepts_connections(waiter_, endpoint_, Clock::now() + 1s); }));
  }

  HttpAnswer ask(bool close = false, std::chrono::milliseconds patience = 10s) {
    HttpConnection connection(waiter_, endpoint_, Clock::now() + 10s);
    return connection.exchange(request_bytes({"GET", "/", {}, ""}, endpoint_, close),
                               Clock::now() + patience);
  }

  std::string error_of(std::chrono::milliseconds patience = 10s) {
    try {
      ask(false, patience);
      return "none";
    } catch (const HttpError& error) {
      return error.what();
    }
  }

  Waiter waiter_;
  Guard guard_;
  Endpoint endpoint_;
  std::optional<ChildProcess> server_;
};

TEST_F(HttpClientTest, CountsEveryByteOfAnAnswer) {
  start({});
  const HttpAnswer kept = ask();
  EXPECT_EQ(kept.status, 200U);
  EXPECT_EQ(kept.body, "Hello, World!");
  EXPECT_TRUE(kept.keep_alive);
  EXPECT_EQ(kept.bytes,
            std::string("HTTP/1.1 200 Status\r\nContent-Length: 13\r\n\r\nHello, World!").size());
  EXPECT_FALSE(ask(true).keep_alive);
}

TEST_F(HttpClientTest, KeepsAConnectionAndFinishesIt) {
  start({});
  HttpConnection connection(waiter_, endpoint_, Clock::now() + 10s);
  const std::string request = request_bytes({"GET", "/", {}, ""}, endpoint_, false);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(connection.exchange(request, Clock::now() + 10s).body, "Hello, World!");
  }
  EXPECT_FALSE(connection.closed_by_target(Clock::now() + 1ms));
  EXPECT_NO_THROW(connection.finish(Clock::now() + 10s));
}

TEST_F(HttpClientTest, ReadsChunks) {
  start({"--chunks", "100000"});
  EXPECT_EQ(ask().body, std::string(100000, 'x'));
}

TEST_F(HttpClientTest, NamesWhatIsWrong) {
  start({"--garbage"});
  EXPECT_EQ(error_of().find("the answer is no HTTP: "), 0U);
  start({"--truncate"});
  EXPECT_EQ(error_of().find("the connection ended after "), 0U);
  start({"--stall-after", "1"});
  ask();
  EXPECT_EQ(error_of(20ms), "no whole answer in time");
  server_.reset();
  EXPECT_EQ(error_of().find("no connection to 127.0.0.1:"), 0U);
}

TEST_F(HttpClientTest, SeesWhetherAPortIsTaken) {
  start({});
  EXPECT_TRUE(accepts_connections(waiter_, endpoint_, Clock::now() + 10s));
  server_.reset();
  EXPECT_FALSE(accepts_connections(waiter_, endpoint_, Clock::now() + 10s));
}

}  // namespace
}  // namespace spawnpool::trial
