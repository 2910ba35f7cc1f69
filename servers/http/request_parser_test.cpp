#include "servers/http/request_parser.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace spawnpool {
namespace {

constexpr std::size_t max_header_bytes = 512;
constexpr std::uint64_t max_body_bytes = 100;

// Feeds `text` to a parser as a connection does: bytes arrive `step` at a time, each behind those
// that were not taken, and never move.
class Parsed {
 public:
  explicit Parsed(std::string text, std::size_t step = std::string::npos)
      : text_(std::move(text)), parser_(request, body, max_header_bytes, max_body_bytes) {
    std::size_t end = 0;
    while (!parser_.done() && !parser_.refusal()) {
      const std::size_t n = parser_.parse(std::string_view(text_).substr(taken, end - taken));
      taken += n;
      if (n == 0 || taken == end) {
        if (end == text_.size()) {
          break;
        }
        end += std::min(step, text_.size() - end);
      }
    }
  }
  Parsed(const Parsed&) = delete;
  Parsed& operator=(const Parsed&) = delete;

  bool done() const { return parser_.done(); }
  unsigned refused() const { return parser_.refusal().status; }
  bool expects_continue() const { return parser_.expects_continue(); }

  Request request;
  std::vector<char> body;
  std::size_t taken = 0;

 private:
  std::string text_;
  RequestParser parser_;
};

std::string get(std::string_view target, std::string_view fields = "") {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n";
}

std::string chunked(std::string_view body) {
  return "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(body);
}

TEST(RequestParser, FillsInTheRequest) {
  const std::string text =
      "POST /a/b?c=d HTTP/1.1\r\nHost: example\r\nX-Own:  two words\t\r\nContent-Length: 4\r\n\r\n"
      "body";
  const Parsed parsed(text + "GET / HTTP/1.1\r\n");
  ASSERT_TRUE(parsed.done());
  EXPECT_EQ(parsed.taken, text.size()) << "stops behind the message";
  const Request& request = parsed.request;
  EXPECT_EQ(request.method, verb::post);
  EXPECT_EQ(request.method_name, "POST");
  EXPECT_EQ(request.target, "/a/b?c=d");
  EXPECT_EQ(request.path, "/a/b");
  EXPECT_EQ(request.query, "c=d");
  EXPECT_EQ(request.version, 11U);
  EXPECT_TRUE(request.keep_alive);
  EXPECT_EQ(request.body, "body");
  ASSERT_EQ(request.fields.size(), 3U);
  EXPECT_EQ(request.fields[1].id, field::unknown);
  EXPECT_EQ(request.fields[1].name, "X-Own");
  EXPECT_EQ(request.fields[1].value, "two words") << "without the white space around it";
}

TEST(RequestParser, StopsBehindTheHeader) {
  Request request;
  std::vector<char> body;
  RequestParser parser(request, body, max_header_bytes, max_body_bytes);
  const std::string header = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n";
  EXPECT_EQ(parser.parse(header + "xy"), header.size());
  EXPECT_TRUE(parser.header_done());
  EXPECT_FALSE(parser.done());
  EXPECT_EQ(parser.parse("xyGET"), 2U);
  EXPECT_TRUE(parser.done());
  EXPECT_EQ(request.body, "xy");
}

TEST(RequestParser, SplitsTheTarget) {
  struct Case {
    std::string_view target;
    std::string_view path;
    std::string_view query;
  };
  for (const Case& each : std::initializer_list<Case>{
           {"/", "/", ""},
           {"/?", "/", ""},
           {"/a?b?c", "/a", "b?c"},
           {"//a//", "//a//", ""},
           {"/%2e%00", "/%2e%00", ""},
           {"http://example", "/", ""},
           {"http://example?q", "/", "q"},
           {"HTTP://example:80/p/?q", "/p/", "q"},
           {"https://[::1]:443/p", "/p", ""},
           {"http://example/http://other/", "/http://other/", ""},
       }) {
    const Parsed parsed(get(each.target));
    EXPECT_TRUE(parsed.done()) << each.target;
    EXPECT_EQ(parsed.request.target, each.target);
    EXPECT_EQ(parsed.request.path, each.path) << each.target;
    EXPECT_EQ(parsed.request.query, each.query) << each.target;
  }
}

TEST(RequestParser, RefusesTargetsOfNoForm) {
  for (const std::string_view target : {"a",
                                        "*",
                                        "*/",
                                        "?q",
                                        "a/b",
                                        "ftp://a/",
                                        "http:/a",
                                        "http:a",
                                        "http://",
                                        "http:///p",
                                        "http://?q",
                                        "http://u@a/",
                                        "http://u:p@a/",
                                        "http://a,b/",
                                        "http://a:x/",
                                        "http://[::1/",
                                        "//a#b",
                                        "/#",
                                        "/p?q#f",
                                        "://a",
                                        "/\x80",
                                        "/\xC3\xA9",
                                        "/?\xFF",
                                        "/a\x01z",
                                        "/a\x7Fz"}) {
    EXPECT_EQ(Parsed(get(target)).refused(), 400U) << target;
  }
}

TEST(RequestParser, TakesTheAsteriskForOptionsOnly) {
  EXPECT_EQ(Parsed("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").request.path, "*");
  EXPECT_EQ(Parsed("HEAD * HTTP/1.1\r\nHost: a\r\n\r\n").refused(), 400U);
  EXPECT_EQ(Parsed("options * HTTP/1.1\r\nHost: a\r\n\r\n").refused(), 400U);
}

TEST(RequestParser, KnowsWhatTheClientWantsOfTheConnection) {
  const auto keep_alive = [](std::string_view version, std::string_view fields) {
    const Parsed parsed("GET / HTTP/" + std::string(version) + "\r\nHost: a\r\n" +
                        std::string(fields) + "\r\n");
    EXPECT_TRUE(parsed.done()) << version << ' ' << fields;
    return parsed.request.keep_alive;
  };
  EXPECT_TRUE(keep_alive("1.1", ""));
  EXPECT_FALSE(keep_alive("1.1", "Connection: close\r\n"));
  EXPECT_FALSE(keep_alive("1.1", "Connection: Keep-Alive, CLOSE\r\n"));
  EXPECT_FALSE(keep_alive("1.1", "Connection: x\r\nConnection: close\r\n"));
  EXPECT_TRUE(keep_alive("1.1", "Connection: upgrade\r\nUpgrade: h2c\r\n"));
  EXPECT_FALSE(keep_alive("1.0", ""));
  EXPECT_TRUE(keep_alive("1.0", "Connection: Keep-Alive\r\n"));
}

TEST(RequestParser, ReadsChunksAndDropsTrailers) {
  const Parsed parsed(
      chunked("4\r\nWiki\r\n"
              "00A;name;other=\"a;\\\"b\" ;x=y\r\npedia in \n\r\n"
              "000;last=1\r\nHost: other\r\nX-Trailer: 1\r\n\r\n"));
  EXPECT_TRUE(parsed.done());
  EXPECT_EQ(parsed.request.body, "Wikipedia in \n");
  EXPECT_EQ(parsed.request.find(field::host), "a");
  EXPECT_EQ(parsed.request.fields.size(), 2U);
}

TEST(RequestParser, RefusesMalformedChunks) {
  for (const std::string& body : std::initializer_list<std::string>{
           "x\r\n",
           "-1\r\n",
           "+1\r\n",
           "0x1\r\n",
           "1_0\r\n",
           " 1\r\n",
           "1 \r\n",
           "\r\n1\r\n",
           "10000000000000000\r\n",  // 2^64
           "1;\r\n",                 // an extension without a name
           "1;=a\r\n",               //
           "1;a=\r\n",               //
           "1;a=\"\n\"\r\n",         // a bare line feed in a quoted string
           "1;a=\"" + std::string(1, '\0') + "\"\r\n",
           "1;a=\"\\\n\"\r\n",
           "1;a=\"\x7F\"\r\n",
           "0;a=\"\n\"\r\n\r\n",
           "1;a\rb\r\n",
           "1;a\nb\r\n",
           "1\n",
           "1\nx\r\n0\r\n\r\n",
           "1\rx\r\n0\r\n\r\n",
           "1\r\nxy\r\n0\r\n\r\n",  // longer than it says
           "1\r\nx0\r\n\r\n",       // no line break behind the data
           "1\r\nx\n0\r\n\r\n",
           "1\r\nx\r\n0\r\nA : b\r\n\r\n",  // trailers are fields like others
           "0\r\nA: b\r\n c\r\n\r\n",
           "0\r\nA:\r\n b\r\n\r\n",
           "0\r\nA: b\n\r\n\r\n",
           "0\r\nA\r\n\r\n",
           "0\r\nContent-Length: 1\r\n\r\n",
           "0\r\nTransfer-Encoding: chunked\r\n\r\n",
       }) {
    // Some are refused once enough follows to tell: bytes that would be the rest of the body.
    EXPECT_EQ(Parsed(chunked(body + "x\r\n0\r\n\r\n")).refused(), 400U) << body;
    EXPECT_EQ(Parsed(chunked(body + "x\r\n0\r\n\r\n"), 1).refused(), 400U) << body;
  }
}

TEST(RequestParser, TakesHostsThatAreHosts) {
  for (const std::string_view host :
       {"a", "A.example", "127.0.0.1", "a:", "a:0", "a:65535", "a:080", "a_b", "a-b.", "%41b",
        "!$&'()*+;=~", "[::1]", "[::1]:80", "[2001:DB8::7]", "[::ffff:127.0.0.1]", "[::]:"}) {
    EXPECT_TRUE(is_valid_host(host)) << host;
  }
}

TEST(RequestParser, RefusesHostsThatAreNone) {
  for (const std::string_view host :
       {"",
        ":",
        ":80",
        "a:b",
        "a:80:80",
        "a:65536",
        "a:99999",
        "a:123456",
        "a:-1",
        "a:+1",
        "a: 80",
        "u@a",
        "u:p@a",
        "a/",
        "a/b",
        "a?b",
        "a#b",
        "a,b",
        "a, b",
        "a b",
        "a\tb",
        "http://a",
        "a\\b",
        "a\"",
        "<a>",
        "{a}",
        "a|b",
        "a^",
        "a`",
        "\x80",
        "a%",
        "a%4",
        "a%4x",
        "a%x1",
        "[]",
        "[::1",
        "::1",
        "::1]",
        "[::1]a",
        "[::1]80",
        "[::1]:x",
        "[:]",
        "[1]",
        "[::1::2]",
        "[:::]",
        "[1:2:3:4:5:6:7:8:9]",
        "[12345::]",
        "[127.0.0.1]",
        "[::1%eth0]",
        "[g::]",
        "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]",
        "[v1.a]",
        "[[::1]]"}) {
    EXPECT_FALSE(is_valid_host(host)) << host;
  }
}

TEST(RequestParser, RefusesEveryByteThatIsNoHostCharacter) {
  EXPECT_FALSE(is_valid_host(std::string_view("[::1\0a]", 7)));
  constexpr std::string_view allowed =
      "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._~!$&'()*+;=:";
  for (int byte = 0; byte < 256; ++byte) {
    const auto c = static_cast<char>(byte);
    // "a1" behind it makes the percent sign an escape; the colon, a bad port.
    EXPECT_EQ(is_valid_host(std::string("a") + c + "11"),
              allowed.find(c) != std::string_view::npos || c == '%')
        << byte;
  }
}

TEST(RequestParser, RefusesByStatus) {
  const std::string host = "Host: a\r\n";
  struct Case {
    unsigned status;
    std::string text;
  };
  const std::initializer_list<Case> cases = {
      {400, "GET / HTTP/1.1\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost:\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\n" + host + host + "\r\n"},
      {400, "GET / HTTP/1.0\r\n" + host + host + "\r\n"},
      {400, "GET / HTTP/1.0\r\nHost: u@a\r\n\r\n"},
      {400, get("/", "Content-Length: 1\r\nContent-Length: 1\r\n")},
      {400, get("/", "Content-Length: 1, 1\r\n")},
      {400, get("/", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n")},
      {400, get("/", "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n")},
      {400, get("/", "Transfer-Encoding: gzip, chunked\r\n")},
      {400, get("/", "Transfer-Encoding:\r\n")},
      {400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {400, get("/", "A: b\r\n c\r\n")},
      {400, get("/", "A:\r\n b\r\n")},
      {400, get("/", "A:\r\n \r\n")},
      {400, get("/", "A: b\r\n \r\n")},
      {400, get("/", "A: \t\r\n\t \r\n \r\n")},
      {400, get("/", "Host:\r\n a\r\n")},
      {400, "GET / HTTP/1.1\r\nHost:\r\n a\r\n\r\n"},
      {400, get("/", "A : b\r\n")},
      {400, "GET / \r\n\r\n"},
      {400, "GET / H\r\n\r\n"},
      {400, "GET / HTT\r\n\r\n"},
      {400, "GET / HTTP/1\r\n\r\n"},
      {400, "GET / HTTP/1.\r\n\r\n"},
      {400, "GET / http/1.1\r\n" + host + "\r\n"},
      {400, "GET / HTTP/1.10\r\n" + host + "\r\n"},
      {400, "GET / HTTP/2\r\n" + host + "\r\n"},
      {400, "GET /  HTTP/1.1\r\n" + host + "\r\n"},
      {400, "GET / HTTP/1.1 HTTP/1.1\r\n" + host + "\r\n"},
      {400, "GET /a b HTTP/2.0\r\n" + host + "\r\n"},
      {505, "GET / HTTP/2.0\r\n" + host + "\r\n"},
      {505, "GET / HTTP/1.2\r\n" + host + "\r\n"},
      {505, "GET / HTTP/0.9\r\n\r\n"},
      {501, "get / HTTP/1.1\r\n" + host + "\r\n"},
      {501, "CONNECT a:80 HTTP/1.1\r\n" + host + "\r\n"},
      {413, get("/", "Content-Length: 101\r\n")},
      {413, chunked("65\r\n")},
      {417, get("/", "Expect: 200-ok\r\n")},
      {431, get("/", "A: " + std::string(max_header_bytes, 'b') + "\r\n")},
  };
  for (const Case& each : cases) {
    EXPECT_EQ(Parsed(each.text).refused(), each.status) << each.text;
    // Byte by byte a header that is too long is the connection's to tell, by its buffer.
    if (each.status != 431) {
      EXPECT_EQ(Parsed(each.text, 1).refused(), each.status) << each.text;
    }
  }
}

TEST(RequestParser, NotesHeadBeforeItRefuses) {
  for (const std::string text : {"HEAD / HTTP/2.0\r\n\r\n", "HEAD * HTTP/1.1\r\n\r\n",
                                 "HEAD / HTTP/1.1\r\n\r\n", "HEAD /# HTTP/1.1\r\n\r\n"}) {
    const Parsed parsed(text);
    EXPECT_NE(parsed.refused(), 0U);
    EXPECT_EQ(parsed.request.method, verb::head) << "or the refusal would have a body: " << text;
  }
}

TEST(RequestParser, AnswersExpectOnlyWhereABodyFollows) {
  const auto expects = [](std::string_view version, std::string_view fields) {
    const Parsed parsed("POST / HTTP/" + std::string(version) +
                        "\r\nHost: a\r\nExpect: 100-Continue\r\n" + std::string(fields) + "\r\n");
    EXPECT_EQ(parsed.refused(), 0U);
    return parsed.expects_continue();
  };
  EXPECT_TRUE(expects("1.1", "Content-Length: 1\r\n"));
  EXPECT_TRUE(expects("1.1", "Transfer-Encoding: chunked\r\n"));
  EXPECT_FALSE(expects("1.1", "Content-Length: 0\r\n"));
  EXPECT_FALSE(expects("1.1", ""));
  EXPECT_FALSE(expects("1.0", "Content-Length: 1\r\n"));
}

TEST(RequestParser, CountsTheBodyLimitWithoutTheChunking) {
  const std::string chunk = "32;extension=1\r\n" + std::string(50, 'x') + "\r\n";
  EXPECT_EQ(Parsed(chunked(chunk + chunk + "0\r\n\r\n")).request.body, std::string(100, 'x'));
  EXPECT_EQ(Parsed(chunked(chunk + chunk + "1\r\nx\r\n")).refused(), 413U);
  EXPECT_EQ(Parsed(chunked("FFFFFFFFFFFFFFFF\r\n")).refused(), 413U);
  EXPECT_TRUE(
      Parsed(get("/", "Content-Length: 100\r\n") + std::string(max_body_bytes, 'x')).done());
}

// A connection keeps the memory, so the limit is to bound that, too.
TEST(RequestParser, TakesNoMoreMemoryThanTheLargestBodyNeeds) {
  std::string chunks;
  for (int i = 0; i < 10; ++i) {
    chunks += "a\r\n0123456789\r\n";
  }
  const Parsed parsed(chunked(chunks + "0\r\n\r\n"));
  EXPECT_TRUE(parsed.done());
  EXPECT_EQ(parsed.request.body.size(), max_body_bytes);
  EXPECT_EQ(parsed.body.capacity(), max_body_bytes);
}

TEST(RequestParser, TakesNoMemoryForABodyThatIsOnlyClaimed) {
  Request request;
  std::vector<char> body;
  constexpr std::uint64_t huge = std::uint64_t{1} << 40;
  RequestParser parser(request, body, max_header_bytes, huge);
  const std::string text = get("/", "Content-Length: " + std::to_string(huge) + "\r\n");
  EXPECT_EQ(parser.parse(text), text.size());
  EXPECT_EQ(parser.parse("x"), 1U);
  EXPECT_FALSE(parser.refusal());
  EXPECT_LE(body.capacity(), 64U * 1024);
}

// Whatever the splits, the same message comes out of it.
TEST(RequestParser, DoesNotDependOnHowTheBytesArrive) {
  for (const std::string& text :
       {get("/a?b", "A: b\r\nC:\r\n"), chunked("0\r\n\r\n"), chunked("00\r\n\r\n"),
        chunked("3\r\n0\r\n\r\n0\r\n\r\n"), chunked("1;a=\"b\"\r\nx\r\n0;c\r\nA: b\r\n\r\n"),
        std::string("POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\n0\r\n"),
        std::string("POST / HTTP/1.0\r\nContent-Length: 0\r\n\r\n")}) {
    const Parsed whole(text);
    ASSERT_TRUE(whole.done()) << text;
    for (std::size_t step = 1; step < text.size(); ++step) {
      const Parsed parsed(text, step);
      ASSERT_TRUE(parsed.done()) << step << ' ' << text;
      EXPECT_EQ(parsed.taken, text.size());
      EXPECT_EQ(parsed.request.body, whole.request.body) << step << ' ' << text;
      EXPECT_EQ(parsed.request.path, whole.request.path);
      EXPECT_EQ(parsed.request.fields.size(), whole.request.fields.size());
    }
  }
}

}  // namespace
}  // namespace spawnpool
