#include "servers/http/response.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace spawnpool {
namespace {

constexpr std::time_t example_time = 784111777;  // of RFC 9110, 5.6.7

std::string head(const Response& response, ConnectionHeader connection = ConnectionHeader::none,
                 std::time_t now = example_time) {
  std::array<char, max_response_head_bytes + 64> out;
  return {out.data(), write_response_head(out.data(), response, connection, now)};
}

TEST(ResponseHead, OfAnOrdinaryResponse) {
  EXPECT_EQ(head({.content_type = "application/json", .body = "{}"}),
            "HTTP/1.1 200 OK\r\n"
            "Server: spawnpool\r\n"
            "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
            "Content-Type: application/json\r\n"
            "Content-Length: 2\r\n"
            "\r\n");
}

TEST(ResponseHead, OfAnotherStatusWithAllowAndConnection) {
  EXPECT_EQ(head({.status = 405, .body = "no\n", .allow = "GET, HEAD"}, ConnectionHeader::close),
            "HTTP/1.1 405 Method Not Allowed\r\n"
            "Server: spawnpool\r\n"
            "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
            "Content-Type: text/plain\r\n"
            "Content-Length: 3\r\n"
            "Allow: GET, HEAD\r\n"
            "Connection: close\r\n"
            "\r\n");
}

TEST(ResponseHead, StatesTheLengthOfAnEmptyBody) {
  EXPECT_NE(head({}).find("\r\nContent-Length: 0\r\n"), std::string::npos);
}

TEST(ResponseHead, DescribesNoBodyInA204) {
  EXPECT_EQ(head({.status = 204, .allow = "OPTIONS"}, ConnectionHeader::keep_alive),
            "HTTP/1.1 204 No Content\r\n"
            "Server: spawnpool\r\n"
            "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
            "Allow: OPTIONS\r\n"
            "Connection: keep-alive\r\n"
            "\r\n");
}

TEST(ResponseHead, DateFollowsTheClockBothWays) {
  const auto date = [](std::time_t now) {
    const std::string text = head({}, ConnectionHeader::none, now);
    return text.substr(text.find("Date: ") + 6, 29);
  };
  EXPECT_EQ(date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(date(951782400), "Tue, 29 Feb 2000 00:00:00 GMT");
  EXPECT_EQ(date(951782401), "Tue, 29 Feb 2000 00:00:01 GMT");
  EXPECT_EQ(date(951782400), "Tue, 29 Feb 2000 00:00:00 GMT");
  EXPECT_EQ(date(253402300799), "Fri, 31 Dec 9999 23:59:59 GMT");
}

// A body of which only the length is looked at.
std::string_view claimed_body(std::size_t size) {
  return {"", size};
}

TEST(ResponseHead, LongestFitsTheStatedRoom) {
  const Response longest{
      .status = 431,  // the longest reason phrase
      .content_type =
          "application/"
          "012345678901234567890123456789012345678901234567890123456789012345678901234567890123456"
          "7890123456789012345678901234",
      .body = claimed_body(SIZE_MAX),
      .allow = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"};
  ASSERT_GT(longest.content_type.size(), 120U);
  EXPECT_LE(head(longest, ConnectionHeader::keep_alive).size(),
            max_response_head_bytes + longest.allow.size());
}

TEST(ReasonPhrase, IsThatOfRfc9110) {
  EXPECT_EQ(reason_phrase(200), "OK");
  EXPECT_EQ(reason_phrase(413), "Content Too Large");
  EXPECT_EQ(reason_phrase(431), "Request Header Fields Too Large");
  EXPECT_EQ(reason_phrase(299), "Unknown");
}

TEST(ReasonPhrase, IsKnownForEveryStatusThatTheServerSends) {
  for (const unsigned status :
       {100U, 200U, 204U, 400U, 404U, 405U, 408U, 413U, 417U, 429U, 431U, 500U, 501U, 503U, 505U}) {
    EXPECT_NE(reason_phrase(status), "Unknown") << status;
  }
}

}  // namespace
}  // namespace spawnpool
