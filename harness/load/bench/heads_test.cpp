#include "harness/load/bench/heads.hpp"

#include <gtest/gtest.h>

#include <string>

namespace spawnpool::load::bench {
namespace {

TEST(HeadCounter, CountsWhereverTheStreamIsCut) {
  const std::string stream =
      "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\r\nX: \r\r\n\r\n\r\n\r\nG";
  const std::size_t heads = HeadCounter().feed(stream);
  EXPECT_EQ(heads, 3);
  for (std::size_t first = 0; first <= stream.size(); ++first) {
    for (std::size_t second = first; second <= stream.size(); ++second) {
      HeadCounter counter;
      const std::string_view all = stream;
      std::size_t seen = counter.feed(all.substr(0, first));
      seen += counter.feed(all.substr(first, second - first));
      seen += counter.feed(all.substr(second));
      EXPECT_EQ(seen, heads) << first << ' ' << second;
    }
  }
}

TEST(HeadCounter, CountsByteByByte) {
  HeadCounter counter;
  std::size_t seen = 0;
  for (int i = 0; i < 100; ++i) {
    for (const char byte : std::string_view("GET / HTTP/1.1\r\nHost: a\r\n\r\n")) {
      seen += counter.feed({&byte, 1});
    }
    EXPECT_EQ(seen, static_cast<std::size_t>(i) + 1);
  }
}

}  // namespace
}  // namespace spawnpool::load::bench
