#include "harness/load/url.hpp"

#include <gtest/gtest.h>

#include "servers/cli/cli.hpp"

namespace spawnpool::load {
namespace {

TEST(Url, IsReadInItsParts) {
  const Url url = parse_url("http://example.org:8080/a/b?c=d#e");
  EXPECT_EQ(url.host, "example.org");
  EXPECT_EQ(url.port, 8080);
  EXPECT_EQ(url.authority, "example.org:8080");
  EXPECT_EQ(url.target, "/a/b?c=d");
}

TEST(Url, HasDefaults) {
  const Url url = parse_url("http://127.0.0.1");
  EXPECT_EQ(url.port, 80);
  EXPECT_EQ(url.target, "/");
  EXPECT_EQ(parse_url("http://localhost?x=1").target, "/?x=1");
}

TEST(Url, TakesIpv6InBrackets) {
  const Url url = parse_url("http://[::1]:81/x");
  EXPECT_EQ(url.host, "::1");
  EXPECT_EQ(url.port, 81);
  EXPECT_EQ(url.authority, "[::1]:81");
  EXPECT_EQ(parse_url("http://[::1]").port, 80);
}

TEST(Url, RefusesWhatIsNone) {
  for (const char* text :
       {"", "127.0.0.1:80", "https://x/", "http://", "http:///x", "http://x:0/", "http://x:65536/",
        "http://x:/", "http://x:8a/", "http://[::1/", "http://[::1]80/", "http://a b/",
        "http://x/\xc3\xa4", "http://user@x/"}) {
    EXPECT_THROW(parse_url(text), cli::UsageError) << text;
  }
}

}  // namespace
}  // namespace spawnpool::load
