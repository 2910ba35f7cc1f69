#include "servers/http/request.hpp"

#include <gtest/gtest.h>

namespace spawnpool {
namespace {

TEST(Request, FindsTheFirstFieldOfAnId) {
  Request request;
  request.fields = {{field::host, "Host", "a"},
                    {field::accept, "Accept", "text/html"},
                    {field::accept, "accept", "text/plain"},
                    {field::unknown, "X-Own", "1"}};
  EXPECT_EQ(request.find(field::accept), "text/html");
  EXPECT_EQ(request.find(field::host), "a");
  EXPECT_EQ(request.find(field::cookie), std::nullopt);
}

TEST(Request, FindsQueryParametersByTheirWholeName) {
  Request request;
  request.query = "us=10&empty=&flag&u=2&us=11&%75s=3&a=b=c";
  EXPECT_EQ(request.query_parameter("us"), "10") << "the first of several";
  EXPECT_EQ(request.query_parameter("u"), "2");
  EXPECT_EQ(request.query_parameter("empty"), "");
  EXPECT_EQ(request.query_parameter("flag"), "");
  EXPECT_EQ(request.query_parameter("%75s"), "3") << "nothing is decoded";
  EXPECT_EQ(request.query_parameter("a"), "b=c");
  EXPECT_EQ(request.query_parameter("fla"), std::nullopt);
  EXPECT_EQ(request.query_parameter("US"), std::nullopt);
}

TEST(Request, TakesQueriesOfSeparatorsOnly) {
  Request request;
  for (const std::string_view query : {"", "&", "&&&", "=", "&=&"}) {
    request.query = query;
    EXPECT_EQ(request.query_parameter("a"), std::nullopt) << query;
  }
  request.query = "&&a=1&";
  EXPECT_EQ(request.query_parameter("a"), "1");
}

TEST(Request, ClearsEverythingButTheMemoryOfTheFields) {
  Request request{.method = verb::put,
                  .method_name = "PUT",
                  .target = "/a?b",
                  .path = "/a",
                  .query = "b",
                  .version = 10,
                  .keep_alive = false,
                  .fields = {{field::host, "Host", "a"}},
                  .body = "text"};
  const auto* const memory = request.fields.data();
  request.clear();
  EXPECT_EQ(request.method, verb::unknown);
  EXPECT_EQ(request.method_name, "");
  EXPECT_EQ(request.target, "");
  EXPECT_EQ(request.path, "");
  EXPECT_EQ(request.query, "");
  EXPECT_EQ(request.version, 11U);
  EXPECT_TRUE(request.keep_alive);
  EXPECT_EQ(request.body, "");
  EXPECT_TRUE(request.fields.empty());
  EXPECT_EQ(request.fields.data(), memory);
}

}  // namespace
}  // namespace spawnpool
