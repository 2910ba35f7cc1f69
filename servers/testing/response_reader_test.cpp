#include "servers/testing/response_reader.hpp"

#include <gtest/gtest.h>

namespace spawnpool::testing {
namespace {

const std::string date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

TEST(TakeResponse, TakesOneAfterAnother) {
  std::string bytes = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" + date +
                      "Content-Length: 2\r\n\r\nabHTTP/1.1 204 No Content\r\n" + date +
                      "Allow: GET\r\n\r\nHTTP/1.1 200 OK\r\n" + date +
                      "Content-Length: 9\r\n\r\nHTTP/1.1 ";
  EXPECT_EQ(take_response(bytes, false)->status, 100U);
  EXPECT_EQ(take_response(bytes, false)->body, "ab");
  EXPECT_EQ(take_response(bytes, false)->field("Allow"), "GET");
  EXPECT_EQ(take_response(bytes, true)->field("Content-Length"), "9");
  EXPECT_EQ(bytes, "HTTP/1.1 ");
  EXPECT_FALSE(take_response(bytes, false));
}

TEST(TakeResponse, WaitsForTheWhole) {
  const std::string whole = "HTTP/1.1 200 OK\r\n" + date + "Content-Length: 2\r\n\r\nab";
  for (std::size_t size = 0; size < whole.size(); ++size) {
    std::string bytes = whole.substr(0, size);
    EXPECT_FALSE(take_response(bytes, false));
    EXPECT_EQ(bytes.size(), size);
  }
}

TEST(TakeResponse, RefusesWhatIsMalformed) {
  const std::string length = "Content-Length: 0\r\n";
  for (const std::string& head : {
           "HTTP/1.0 200 OK\r\n" + date + length,
           "HTTP/1.1 200  OK\r\n" + date + length,
           "HTTP/1.1 20 OK\r\n" + date + length,
           "HTTP/1.1 200\r\n" + date + length,
           "HTTP/1.1 200 Okay\r\n" + date + length,
           "HTTP/1.1 299 Unknown thing\r\n" + date + length,
           "ab\r\n" + date + length,
           "HTTP/1.1 200 OK\r\n" + date,
           "HTTP/1.1 200 OK\r\n" + length,
           "HTTP/1.1 204 No Content\r\n" + date + length,
           "HTTP/1.1 200 OK\r\nDate: Mon, 06 Nov 1994 08:49:37 GMT\r\n" + length,
           "HTTP/1.1 200 OK\r\nDate: Sun, 6 Nov 1994 08:49:37 GMT\r\n" + length,
           "HTTP/1.1 200 OK\r\n" + date + length + length,
           "HTTP/1.1 200 OK\r\n" + date + "Content-Length: -1\r\n",
           "HTTP/1.1 200 OK\r\n" + date + length + "Transfer-Encoding: chunked\r\n",
           "HTTP/1.1 200 OK\r\n" + date + length + "A : b\r\n",
           "HTTP/1.1 200 OK\r\n" + date + length + "A:b\r\n",
           "HTTP/1.1 200 OK\r\n" + date + length + "A: \r\n",
           "HTTP/1.1 200 OK\r\n" + date + length + "A: b\nC: d\r\n",
           "HTTP/1.1 200 OK\r\n" + date + length + "A: \x80\r\n",
           "HTTP/1.1 200 OK\r\n" + date + length + "Allow: GET\r\n",
           "HTTP/1.1 405 Method Not Allowed\r\n" + date + length,
       }) {
    std::string bytes = head + "\r\n";
    EXPECT_THROW(take_response(bytes, false), MalformedResponse) << head;
  }
}

}  // namespace
}  // namespace spawnpool::testing
