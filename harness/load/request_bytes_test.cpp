#include "harness/load/request_bytes.hpp"

#include <gtest/gtest.h>

#include "servers/cli/cli.hpp"

namespace spawnpool::load {
namespace {

const Url url = parse_url("http://127.0.0.1:81/a?b");

TEST(RequestBytes, AreWhatIsSent) {
  const Request request = make_request(url, {"GET", {"X-A: b", "X-C:d"}, ""});
  EXPECT_EQ(request.keep, "GET /a?b HTTP/1.1\r\nHost: 127.0.0.1:81\r\nX-A: b\r\nX-C: d\r\n\r\n");
  EXPECT_EQ(request.close,
            "GET /a?b HTTP/1.1\r\nHost: 127.0.0.1:81\r\nConnection: close\r\nX-A: b\r\nX-C: "
            "d\r\n\r\n");
  EXPECT_FALSE(request.head);
}

TEST(RequestBytes, AnnounceABody) {
  EXPECT_EQ(make_request(url, {"POST", {}, "abc"}).keep,
            "POST /a?b HTTP/1.1\r\nHost: 127.0.0.1:81\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_NE(make_request(url, {"POST", {}, ""}).keep.find("Content-Length: 0\r\n"),
            std::string::npos);
}

TEST(RequestBytes, TakeAHostThatIsGiven) {
  EXPECT_EQ(make_request(url, {"HEAD", {"host: example.org"}, ""}).keep,
            "HEAD /a?b HTTP/1.1\r\nhost: example.org\r\n\r\n");
  EXPECT_TRUE(make_request(url, {"HEAD", {}, ""}).head);
}

TEST(RequestBytes, RefuseWhatIsNoHttp) {
  for (const char* header : {"X", ": y", "X y: z", "X: a\r\nB: c", "Connection: close",
                             "content-length: 3", "Transfer-Encoding: chunked"}) {
    EXPECT_THROW(make_request(url, {"GET", {header}, ""}), cli::UsageError) << header;
  }
  for (const char* method : {"", "GE T", "CONNECT", "GET\r\n"}) {
    EXPECT_THROW(make_request(url, {method, {}, ""}), cli::UsageError) << method;
  }
}

}  // namespace
}  // namespace spawnpool::load
