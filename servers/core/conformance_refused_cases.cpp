#include "servers/core/conformance_cases.hpp"

namespace spawnpool {
namespace {

const std::string host = "Host: a\r\n";
const std::string get = "GET / HTTP/1.1\r\n" + host + "\r\n";

}  // namespace

std::vector<ConformanceCase> refused_cases() {
  std::vector<ConformanceCase> cases;
  // `rest`: what would be the next request if the message were taken.
  const auto refuse = [&](unsigned status, const std::string& name, const std::string& message,
                          const std::string& rest = get) {
    cases.push_back({name, message + rest, {{.status = status}}, true});
  };

  refuse(400, "no host", "GET / HTTP/1.1\r\n\r\n");
  refuse(400, "no host, absolute target", "GET http://a/ HTTP/1.1\r\n\r\n");
  refuse(400, "two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
  refuse(400, "host twice", "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n");
  refuse(400, "host twice, http 1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n");
  refuse(400, "bad host, http 1.0", "GET / HTTP/1.0\r\nHost: a/b\r\n\r\n");
  for (const std::string& value : std::initializer_list<std::string>{
           "",     " \t",     "u@a",    "u:p@a", "a/",    "a/b",     "/",        "http://a",
           "a?b",  "a#b",     "a,b",    "a, b",  "a b",   "a\tb",    ":",        ":80",
           "a:x",  "a:80:80", "a:-80",  "a:+80", "a: 80", "a:80x",   "a:65536",  "::1",
           "[::1", "[]",      "[::1]x", "[:::]", "[::g]", "[::1]:x", "a%",       "a%2",
           "a%zz", "a\\b",    "<a>",    "a\"b",  "{a}",   "a\x80",   "\xC3\xA9", "[::1%lo]"}) {
    refuse(400, "host " + value, "GET / HTTP/1.1\r\nHost: " + value + "\r\n\r\n");
  }
  refuse(400, "host is folded", "GET / HTTP/1.1\r\nHost:\r\n a\r\n\r\n");
  refuse(400, "host goes on", "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n");

  for (const std::string& field : std::initializer_list<std::string>{"A: b\r\n c",
                                                                     "A: b\r\n\tc",
                                                                     "A:\r\n b",
                                                                     "A:\r\n ",
                                                                     "A: b\r\n ",
                                                                     "A: \r\n \r\n ",
                                                                     "A: b\r\n c\r\n d",
                                                                     "A : b",
                                                                     "A\t: b",
                                                                     "A",
                                                                     ": b",
                                                                     ":",
                                                                     "A B: c",
                                                                     "A\x01: b",
                                                                     "\x80: b",
                                                                     "A(: b",
                                                                     "[A]: b",
                                                                     "A\"B: c",
                                                                     "A: b\nC: d",
                                                                     "A: b\rC: d",
                                                                     "A: b\r",
                                                                     "A: b\x01",
                                                                     "A: \x7F",
                                                                     "A: \x0B",
                                                                     "A: \x1B[0m",
                                                                     std::string("A: \0", 4),
                                                                     std::string("\0: b", 4),
                                                                     std::string("A\0: b", 5),
                                                                     "A: b\n",
                                                                     "A: b\n ",
                                                                     "Connection: a b",
                                                                     "Connection: \"close\""}) {
    refuse(400, "field " + field, "GET / HTTP/1.1\r\n" + host + field + "\r\n\r\n");
  }
  refuse(400, "white space before the first field", "GET / HTTP/1.1\r\n " + host + "\r\n");
  refuse(400, "tab before the first field", "GET / HTTP/1.1\r\n\t" + host + "\r\n");
  refuse(400, "bare line feeds", "GET / HTTP/1.1\nHost: a\n\n", "");
  refuse(400, "bare line feed behind the request line", "GET / HTTP/1.1\n" + host + "\r\n");
  refuse(400, "bare line feed at the end", "GET / HTTP/1.1\r\n" + host + "\n");
  refuse(400, "bare carriage returns", "GET / HTTP/1.1\rHost: a\r\r");
  refuse(400, "bare carriage return before", "\r" + get);
  refuse(400, "bare line feed before", "\n" + get);

  for (const std::string& line :
       std::initializer_list<std::string>{"GET  / HTTP/1.1",
                                          "GET /  HTTP/1.1",
                                          " GET / HTTP/1.1",
                                          "GET / HTTP/1.1 ",
                                          "GET\t/ HTTP/1.1",
                                          "GET /\tHTTP/1.1",
                                          "GET / HTTP/1.1\t",
                                          "GET HTTP/1.1",
                                          "GET /",
                                          "GET / ",
                                          "GET",
                                          "/",
                                          " ",
                                          "GET /a b HTTP/1.1",
                                          "GET / HTTP",
                                          "GET / HTTP/",
                                          "GET / HTTP/1",
                                          "GET / HTTP/1.",
                                          "GET / HTTP/.1",
                                          "GET / HTTP/1.10",
                                          "GET / HTTP/01.1",
                                          "GET / HTTP/1.01",
                                          "GET / HTTP/1,1",
                                          "GET / HTTP/ 1.1",
                                          "GET / HTTP /1.1",
                                          "GET / http/1.1",
                                          "GET / Http/1.1",
                                          "GET / HTTPS/1.1",
                                          "GET / XTTP/1.1",
                                          "GET / HTTP/x.1",
                                          "GET / HTTP/1.x",
                                          "GET / HTTP/2",
                                          "GET / HTTP/-1.1",
                                          "GET / 1.1",
                                          "G(T / HTTP/1.1",
                                          "G\x01T / HTTP/1.1",
                                          "G\x80T / HTTP/1.1",
                                          "\"GET\" / HTTP/1.1",
                                          "GET: / HTTP/1.1",
                                          std::string("G\0T / HTTP/1.1", 14),
                                          std::string("GET /\0 HTTP/1.1", 15),
                                          std::string("GET / HTTP/1.1\0", 15),
                                          "GET /\x80 HTTP/1.1",
                                          "GET /\xC0\xAF HTTP/1.1",
                                          "GET /?\xFF HTTP/1.1",
                                          "GET /\x01 HTTP/1.1",
                                          "GET /\x7F HTTP/1.1",
                                          "GET /#a HTTP/1.1",
                                          "GET /?a#b HTTP/1.1",
                                          "GET a HTTP/1.1",
                                          "GET * HTTP/1.1",
                                          "HEAD * HTTP/1.1",
                                          "POST * HTTP/1.1",
                                          "OPTIONS *a HTTP/1.1",
                                          "OPTIONS ** HTTP/1.1",
                                          "GET ?a HTTP/1.1",
                                          "GET a:80 HTTP/1.1",
                                          "GET ftp://a/ HTTP/1.1",
                                          "GET http:/a HTTP/1.1",
                                          "GET http:// HTTP/1.1",
                                          "GET http:///a HTTP/1.1",
                                          "GET http://u@a/ HTTP/1.1",
                                          "GET http://u:p@a/ HTTP/1.1",
                                          "GET http://a:x/ HTTP/1.1",
                                          "GET http://a,b/ HTTP/1.1",
                                          "GET http://[::1/ HTTP/1.1",
                                          "GET http://a\\b/ HTTP/1.1",
                                          "\x16\x03\x01 / HTTP/1.1"}) {
    const bool is_head = line.starts_with("HEAD");
    cases.push_back({"line " + line,
                     line + "\r\n" + host + "\r\n" + get,
                     {{.status = 400, .to_head = is_head}},
                     true});
  }
  refuse(400, "no fields and no version", "GET / \r\n\r\n", "");
  refuse(400, "no fields and a part of the version", "GET / HTT\r\n\r\n", "");

  refuse(501, "unknown method", "BREW / HTTP/1.1\r\n" + host + "\r\n");
  refuse(501, "methods have a case", "get / HTTP/1.1\r\n" + host + "\r\n");
  refuse(501, "connect", "CONNECT a:80 HTTP/1.1\r\n" + host + "\r\n");
  refuse(501, "connect of a path", "CONNECT / HTTP/1.1\r\n" + host + "\r\n");
  refuse(505, "http 2.0", "GET / HTTP/2.0\r\n" + host + "\r\n");
  refuse(505, "http 2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "");
  refuse(505, "http 3.0", "GET / HTTP/3.0\r\n" + host + "\r\n");
  refuse(505, "http 0.9", "GET / HTTP/0.9\r\n" + host + "\r\n");
  refuse(505, "http 1.2", "GET / HTTP/1.2\r\n" + host + "\r\n");
  cases.push_back({"head of http 2.0",
                   "HEAD / HTTP/2.0\r\n" + host + "\r\n",
                   {{.status = 505, .body = "", .to_head = true}},
                   true});

  const std::string large(conformance_header_bytes, 'a');
  refuse(431, "field too large", "GET / HTTP/1.1\r\n" + host + "A: " + large + "\r\n\r\n");
  refuse(431, "field name too large", "GET / HTTP/1.1\r\n" + host + large + ": b\r\n\r\n");
  refuse(431, "target too large", "GET /" + large + " HTTP/1.1\r\n" + host + "\r\n");
  refuse(431, "method too large", large + " / HTTP/1.1\r\n" + host + "\r\n");
  refuse(431, "one byte too large",
         "GET / HTTP/1.1\r\n" + host + "A: " + large.substr(31) + "\r\n\r\n");
  cases.push_back({"header too large, after an answer",
                   get + "GET / HTTP/1.1\r\nA: " + large + large,
                   {{.body = "Hello, World!"}, {.status = 431}},
                   true});

  // A client that is not heard of again, in the middle of a header.
  for (const std::string& part : std::initializer_list<std::string>{
           "G", "GET /", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\n",
           "GET / HTTP/1.1\r\nHost: a\r\n\r"}) {
    cases.push_back({"ends early " + part, part, {{.status = 400}}, true, true});
    cases.push_back({"answered, then ends early " + part,
                     get + part,
                     {{.body = "Hello, World!"}, {.status = 400}},
                     true,
                     true});
  }
  return cases;
}

}  // namespace spawnpool
