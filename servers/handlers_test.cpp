#include "servers/handlers.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <ctime>
#include <string>
#include <thread>

namespace spawnpool {
namespace {

using namespace std::chrono_literals;

class HandlersTest : public testing::Test {
 protected:
  const Response& send(verb method, std::string_view target) {
    context.reset();
    Request& request = context.request;
    request.method = method;
    request.path = target.substr(0, target.find('?'));
    request.query = target.substr(std::min(request.path.size() + 1, target.size()));
    request.body = body;
    routes.handle(context);
    return context.response;
  }
  const Response& get(std::string_view target) { return send(verb::get, target); }

  const Router routes = make_routes();
  StopEvent stop;
  std::array<char, 256> scratch;
  RequestContext context{stop, scratch};
  std::string body;
};

TEST_F(HandlersTest, Plaintext) {
  for (const std::string_view path : {"/", "/plaintext"}) {
    EXPECT_EQ(get(path).status, 200U);
    EXPECT_EQ(context.response.content_type, "text/plain");
    EXPECT_EQ(context.response.body, "Hello, World!");
  }
}

TEST_F(HandlersTest, Json) {
  EXPECT_EQ(get("/json").body, R"({"message":"Hello, World!"})");
  EXPECT_EQ(context.response.content_type, "application/json");
}

TEST_F(HandlersTest, PostsAreEchoed) {
  for (const std::string& each : {std::string(), std::string("a\0b\r\n", 5)}) {
    body = each;
    for (const std::string_view path : {"/", "/echo"}) {
      EXPECT_EQ(send(verb::post, path).body, each);
      EXPECT_EQ(context.response.status, 200U);
      EXPECT_EQ(context.response.content_type, "application/octet-stream");
    }
  }
}

TEST_F(HandlersTest, EchoListsTheHeaderFields) {
  context.request.fields = {{field::host, "Host", "a"}, {field::unknown, "X-Own", ""}};
  context.request.method = verb::get;
  context.request.path = "/echo";
  routes.handle(context);
  EXPECT_EQ(context.response.body, "Host: a\nX-Own: \n");
  EXPECT_EQ(context.response.content_type, "text/plain");
}

TEST_F(HandlersTest, EchoListsMoreHeaderFieldsThanTheScratchHolds) {
  const std::string value(2 * scratch.size(), 'v');
  context.request.fields = {{field::unknown, "A", value}, {field::unknown, "B", value}};
  context.request.method = verb::get;
  context.request.path = "/echo";
  routes.handle(context);
  EXPECT_EQ(context.response.body, "A: " + value + "\nB: " + value + "\n");
}

TEST_F(HandlersTest, UserIsTheId) {
  EXPECT_EQ(get("/users/7").body, "7");
  EXPECT_EQ(get("/users/18446744073709551615").body, "18446744073709551615");
  EXPECT_EQ(get("/users/ann").status, 404U);
  EXPECT_EQ(get("/users/").status, 404U);
}

TEST_F(HandlersTest, BytesAreAsManyAsAskedFor) {
  for (const std::size_t n : {std::size_t{0}, std::size_t{1}, std::size_t{1048576}}) {
    EXPECT_EQ(get("/bytes/" + std::to_string(n)).body.size(), n);
    EXPECT_EQ(context.response.status, 200U);
    EXPECT_EQ(context.response.body.find_first_not_of('x'), std::string_view::npos);
  }
  for (const std::string_view path : {"/bytes/1048577", "/bytes/18446744073709551615"}) {
    EXPECT_EQ(get(path).status, 400U);
    EXPECT_EQ(context.response.body, "/bytes/{n}: n is at most 1048576\n");
  }
  EXPECT_EQ(get("/bytes/x").status, 404U);
}

TEST_F(HandlersTest, WorkBurnsTheThreadsTime) {
  const auto cpu_time = [] {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
  };
  const auto before = cpu_time();
  EXPECT_EQ(get("/work?us=2000").body, "done\n");
  EXPECT_GE(cpu_time() - before, 2ms);
  EXPECT_EQ(get("/work?us=0").status, 200U);
}

TEST_F(HandlersTest, SleepBlocksForTheTime) {
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(get("/sleep?ms=5").body, "done\n");
  EXPECT_GE(std::chrono::steady_clock::now() - before, 5ms);
  EXPECT_EQ(get("/sleep?ms=0").status, 200U);
}

TEST_F(HandlersTest, NumbersInTheQueryAreChecked) {
  for (const std::string_view target :
       {"/work", "/work?", "/work?us", "/work?us=", "/work?us=x", "/work?us=-1", "/work?us=+1",
        "/work?us=1.5", "/work?us=10000001", "/work?us=99999999999999999999", "/work?ms=1"}) {
    EXPECT_EQ(get(target).status, 400U) << target;
    EXPECT_EQ(context.response.body, "/work?us=N: N is a whole number, at most 10000000\n");
  }
  for (const std::string_view target : {"/sleep", "/sleep?ms=", "/sleep?ms=60001", "/sleep?us=1"}) {
    EXPECT_EQ(get(target).status, 400U) << target;
    EXPECT_EQ(context.response.body, "/sleep?ms=N: N is a whole number, at most 60000\n");
  }
}

TEST_F(HandlersTest, LongHandlersEndWithTheServer) {
  for (const std::string_view target : {"/sleep?ms=60000", "/work?us=10000000"}) {
    // Within the test's own time-out, which is the same as the handler's whole time.
    std::jthread ender([this] { stop.set(); });
    EXPECT_EQ(get(target).status, 503U) << target;
    EXPECT_EQ(context.response.body, "server is stopping\n");
  }
}

TEST_F(HandlersTest, AllowIsComplete) {
  EXPECT_EQ(send(verb::put, "/").allow, "GET, HEAD, OPTIONS, POST");
  EXPECT_EQ(send(verb::put, "/echo").allow, "GET, HEAD, OPTIONS, POST");
  for (const std::string_view path : {"/plaintext", "/json", "/users/1", "/bytes/1", "/work"}) {
    EXPECT_EQ(send(verb::post, path).status, 405U) << path;
    EXPECT_EQ(context.response.allow, "GET, HEAD, OPTIONS");
  }
  EXPECT_EQ(send(verb::options, "*").allow, "GET, HEAD, OPTIONS, POST");
}

}  // namespace
}  // namespace spawnpool
