#include "servers/core/conformance_cases.hpp"

namespace spawnpool {
namespace {

const ExpectedResponse bad_request{.status = 400};

std::string post(const std::string& fields, const std::string& body = "") {
  return "POST /echo HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" + body;
}

std::string sized(const std::string& length, const std::string& body) {
  return post("Content-Length: " + length + "\r\n", body);
}

std::string chunked(const std::string& body) {
  return post("Transfer-Encoding: chunked\r\n", body);
}

const std::string get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

}  // namespace

std::vector<ConformanceCase> body_cases() {
  const ExpectedResponse abc{.body = "abc"};
  const ExpectedResponse nothing{.body = ""};
  const ExpectedResponse greeting{.body = "Hello, World!"};
  const std::string full(conformance_body_bytes, 'x');
  const std::string smuggled = "GET /users/666 HTTP/1.1\r\nHost: a\r\n\r\n";
  std::vector<ConformanceCase> cases = {
      // Content-Length
      {"sized body", sized("3", "abc"), {abc}},
      {"sized body on /", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", {abc}},
      {"sized bodies in a row", sized("3", "abc") + sized("0", "") + get, {abc, nothing, greeting}},
      {"leading zeros are digits", sized("0003", "abc"), {abc}},
      {"white space around the length", post("Content-Length: \t 3 \t\r\n", "abc"), {abc}},
      {"no length is no body", post("") + get, {nothing, greeting}},
      {"binary body",
       sized("6", std::string("\0\r\n\xFF\r\n", 6)),
       {{.body = std::string("\0\r\n\xFF\r\n", 6)}}},
      {"a body that looks like a request",
       sized(std::to_string(smuggled.size()), smuggled),
       {{.body = smuggled}}},
      {"body as large as allowed", sized("100", full), {{.body = full}}},
      {"body of http 1.0", "POST /echo HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc", {abc}, true},
      {"body of get",
       "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + get,
       {greeting, greeting}},
      {"body of head",
       "HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + get,
       {{.body = "", .to_head = true}, greeting}},
      {"body of options",
       "OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + get,
       {{204, "", {}}, greeting}},
      {"body that nobody takes",
       "POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + get,
       {{404, {}, {}}, greeting}},
      {"body that ends early", sized("3", "ab"), {bad_request}, true, true},
      {"body too large", sized("101", full + "x" + get), {{413, {}, {}}}, true},
      {"body far too large", sized("18446744073709551615", "x"), {{413, {}, {}}}, true},
      {"body too large, after an answer",
       get + sized("101", full),
       {greeting, {413, {}, {}}},
       true},

      // Chunks
      {"chunks", chunked("1\r\na\r\n2\r\nbc\r\n0\r\n\r\n") + get, {abc, greeting}},
      {"no chunks", chunked("0\r\n\r\n") + get, {nothing, greeting}},
      {"chunk that looks like the end", chunked("3\r\n0\r\n\r\n0\r\n\r\n"), {{.body = "0\r\n"}}},
      {"chunk sizes in both cases",
       chunked("0a\r\n0123456789\r\nA\r\n0123456789\r\n000\r\n\r\n"),
       {{.body = "01234567890123456789"}}},
      {"coding in capitals",
       post("TRANSFER-ENCODING: CHUNKED\r\n", "3\r\nabc\r\n0\r\n\r\n"),
       {abc}},
      {"white space around the coding",
       post("Transfer-Encoding:\t chunked \t\r\n", "3\r\nabc\r\n0\r\n\r\n"),
       {abc}},
      {"chunk extensions",
       chunked("3;a;b=c ; d=\"e;\\\"f\" \t;g\r\nabc\r\n0;h=\"\"\r\n\r\n"),
       {abc}},
      {"trailers are dropped",
       chunked("3\r\nabc\r\n0\r\nHost: b\r\nHost: c\r\nConnection: close\r\nExpect: x\r\n\r\n") +
           get,
       {abc, greeting}},
      {"chunks as large as allowed",
       chunked("32\r\n" + full.substr(50) + "\r\n32\r\n" + full.substr(50) + "\r\n0\r\n\r\n"),
       {{.body = full}}},
      {"chunks too large",
       chunked("32\r\n" + full.substr(50) + "\r\n33\r\n" + full.substr(49)),
       {{413, {}, {}}},
       true},
      {"one chunk too large", chunked("65\r\n"), {{413, {}, {}}}, true},
      {"chunks that end early", chunked("3\r\nab"), {bad_request}, true, true},
      {"chunks without the last", chunked("3\r\nabc\r\n"), {bad_request}, true, true},
      {"last chunk without its end", chunked("3\r\nabc\r\n0\r\n"), {bad_request}, true, true},

      // Expect
      {"expect", post("Expect: 100-continue\r\nContent-Length: 3\r\n", "abc"), {abc}},
      {"expect in capitals", post("Expect: 100-CONTINUE\r\nContent-Length: 3\r\n", "abc"), {abc}},
      {"expect with chunks",
       post("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"),
       {abc}},
      {"expect without a body", post("Expect: 100-continue\r\n") + get, {nothing, greeting}},
      {"expect with an empty body",
       post("Expect: 100-continue\r\nContent-Length: 0\r\n") + get,
       {nothing, greeting}},
      {"expect of http 1.0 is ignored",
       "POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
       {abc},
       true},
      {"unknown expectation of http 1.0 is ignored",
       "GET / HTTP/1.0\r\nExpect: x\r\n\r\n",
       {greeting},
       true},
      {"unknown expectation",
       post("Expect: x\r\nContent-Length: 3\r\n", "abc"),
       {{417, {}, {}}},
       true},
      {"empty expectation", post("Expect:\r\n"), {{417, {}, {}}}, true},
      {"list of expectations", post("Expect: 100-continue, x\r\n"), {{417, {}, {}}}, true},
      {"expect with too large a body",
       post("Expect: 100-continue\r\nContent-Length: 101\r\n"),
       {{413, {}, {}}},
       true},
  };

  // Framing that is refused; a request would follow if it were taken in one way or the other.
  for (const std::string& value :
       std::initializer_list<std::string>{"",
                                          "+3",
                                          "-3",
                                          "-0",
                                          "3 3",
                                          "3,3",
                                          "3, 4",
                                          ",3",
                                          "3,",
                                          "0x3",
                                          "3.0",
                                          "3e0",
                                          "3_0",
                                          "0o3",
                                          "\"3\"",
                                          "abc",
                                          "\x0B"
                                          "3",
                                          "3\x0C",
                                          std::string("3\0", 2),
                                          "\xC2\xB3",
                                          "18446744073709551616",
                                          "99999999999999999999999999999999"}) {
    cases.push_back({"content-length " + value, sized(value, "abc") + get, {bad_request}, true});
  }
  const std::string chunks = "3\r\nabc\r\n0\r\n\r\n";
  for (const std::string& value : std::initializer_list<std::string>{"",
                                                                     "gzip",
                                                                     "identity",
                                                                     "xchunked",
                                                                     "chunkedx",
                                                                     "chunked, chunked",
                                                                     "gzip, chunked",
                                                                     "chunked, gzip",
                                                                     "chunked, identity",
                                                                     ", chunked",
                                                                     "chunked,",
                                                                     "chunked;q=1",
                                                                     "\"chunked\"",
                                                                     "'chunked'",
                                                                     "chu nked",
                                                                     "\x0B"
                                                                     "chunked",
                                                                     "chunked\x0C",
                                                                     std::string("chunked\0", 8),
                                                                     "chunked\r\n , gzip",
                                                                     "\r\n chunked"}) {
    cases.push_back({"transfer-encoding " + value,
                     post("Transfer-Encoding: " + value + "\r\n", chunks) + get,
                     {bad_request},
                     true});
  }
  const std::string te = "Transfer-Encoding: chunked\r\n";
  const std::string cl = "Content-Length: 3\r\n";
  for (const auto& [name, fields] : std::initializer_list<std::pair<std::string, std::string>>{
           {"length and coding", cl + te},
           {"coding and length", te + cl},
           {"length 0 and coding", "Content-Length: 0\r\n" + te},
           {"length twice", cl + cl},
           {"two lengths", cl + "Content-Length: 4\r\n"},
           {"coding twice", te + te},
           {"two codings", "Transfer-Encoding: gzip\r\n" + te},
           {"two codings, chunked first", te + "Transfer-Encoding: gzip\r\n"},
           {"space before the colon of the length", "Content-Length : 3\r\n"},
           {"space before the colon of the coding", "Transfer-Encoding : chunked\r\n"},
           {"tab before the colon", "Transfer-Encoding\t: chunked\r\n"},
           {"length folded", "Content-Length:\r\n 3\r\n"},
           {"coding folded", "Transfer-Encoding:\r\n\tchunked\r\n"},
           {"coding behind a bare line feed", "A: b\nTransfer-Encoding: chunked\r\n"},
           {"coding behind a bare carriage return", "A: b\rTransfer-Encoding: chunked\r\n"},
       }) {
    cases.push_back({name, post(fields, chunks) + get, {bad_request}, true});
  }
  cases.push_back({"coding of http 1.0",
                   "POST /echo HTTP/1.0\r\n" + te + "\r\n" + chunks,
                   {bad_request},
                   true});
  cases.push_back({"coding and length of http 1.0",
                   "POST /echo HTTP/1.0\r\nConnection: keep-alive\r\n" + cl + te + "\r\n" + chunks,
                   {bad_request},
                   true});
  for (const std::string& body :
       std::initializer_list<std::string>{"x\r\n",
                                          "-3\r\nabc\r\n",
                                          "+3\r\nabc\r\n",
                                          "0x3\r\nabc\r\n",
                                          "3_\r\nabc\r\n",
                                          " 3\r\nabc\r\n",
                                          "3 \r\nabc\r\n",
                                          "\r\n3\r\nabc\r\n",
                                          "\r\n",
                                          "10000000000000003\r\nabc\r\n",
                                          "3;\r\nabc\r\n",
                                          "3;=\r\nabc\r\n",
                                          "3;a=\r\nabc\r\n",
                                          "3,a\r\nabc\r\n",
                                          "3;a=\"\r\nabc\"\r\nabc\r\n",
                                          "3;a=\"\n\"\r\nabc\r\n",
                                          "3;a\nb\r\nabc\r\n",
                                          "3;a\rb\r\nabc\r\n",
                                          std::string("3;\0\r\nabc\r\n", 10),
                                          std::string("3;a=\"\0\"\r\nabc\r\n", 14),
                                          "3\nabc\r\n",
                                          "3\rabc\r\n",
                                          "3\r\nabcd\r\n",
                                          "3\r\nabc",
                                          "3\r\nabc\n",
                                          "3\r\nabc\r\r\n",
                                          "3\r\nabcxx",
                                          "3\r\nabc\r\n0\r\nA: b\r\n c\r\n\r\n",
                                          "3\r\nabc\r\n0\r\nA:\r\n b\r\n\r\n",
                                          "3\r\nabc\r\n0\r\nA : b\r\n\r\n",
                                          "3\r\nabc\r\n0\r\nA: b\n\r\n\r\n",
                                          "3\r\nabc\r\n0\r\nA\r\n\r\n",
                                          "3\r\nabc\r\n0\r\n: b\r\n\r\n",
                                          "3\r\nabc\r\n0\r\nContent-Length: 3\r\n\r\n",
                                          "3\r\nabc\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
                                          "0\n\r\n",
                                          "0\r\n\n"}) {
    cases.push_back({"chunks " + body, chunked(body + "0\r\n\r\n") + get, {bad_request}, true});
  }
  return cases;
}

}  // namespace spawnpool
