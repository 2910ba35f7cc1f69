#include "servers/core/conformance_cases.hpp"
#include "servers/handlers.hpp"

namespace spawnpool {
namespace {

const std::string hello = "Hello, World!";
const ExpectedResponse greeting{.body = hello};

ExpectedResponse head_of(std::size_t length) {
  return {.body = "", .fields = {{"Content-Length", std::to_string(length)}}, .to_head = true};
}

std::string get(const std::string& target, const std::string& fields = "") {
  return "GET " + target + " HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
}

std::string request(const std::string& method, const std::string& target) {
  return method + " " + target + " HTTP/1.1\r\nHost: a\r\n\r\n";
}

std::string repeated(const std::string& text, int times) {
  std::string result;
  for (int i = 0; i < times; ++i) {
    result += text;
  }
  return result;
}

void fail(RequestContext& context) {
  context.response = {.status = 204, .body = "half done", .allow = "GET"};
  throw std::runtime_error("thrown by\r\na handler");
}

void fail_oddly(RequestContext& /*context*/) {
  throw 7;
}

}  // namespace

Router conformance_routes() {
  Router routes = make_routes();
  routes.add(verb::get, "/throw", fail);
  routes.add(verb::get, "/throw-int", fail_oddly);
  return routes;
}

std::vector<ConformanceCase> conformance_cases() {
  std::vector<ConformanceCase> all = served_cases();
  for (const auto& part : {body_cases(), refused_cases()}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

std::vector<ConformanceCase> served_cases() {
  const ExpectedResponse bye{.body = hello, .fields = {{"Connection", "close"}}};
  const ExpectedResponse kept{.body = hello, .fields = {{"Connection", "keep-alive"}}};
  return {
      // Versions and persistence
      {"http 1.1 stays open", get("/"), {{.body = hello, .fields = {{"Connection", ""}}}}},
      {"http 1.1 closes on request", get("/", "Connection: close\r\n"), {bye}, true},
      {"connection options have no case", get("/", "Connection: ClOsE\r\n"), {bye}, true},
      {"close among other options", get("/", "Connection: x, close,, y\r\n"), {bye}, true},
      {"close in a second line", get("/", "Connection: x\r\nConnection: close\r\n"), {bye}, true},
      {"close beats keep-alive", get("/", "Connection: keep-alive, close\r\n"), {bye}, true},
      {"http 1.1 needs no keep-alive",
       get("/", "Connection: keep-alive\r\n"),
       {{.body = hello, .fields = {{"Connection", ""}}}}},
      {"http 1.0 closes", "GET / HTTP/1.0\r\n\r\n", {bye}, true},
      {"http 1.0 with host", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", {bye}, true},
      {"http 1.0 keep-alive", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", {kept}},
      {"http 1.0 keep-alive twice, then not",
       repeated("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", 2) + "GET / HTTP/1.0\r\n\r\n",
       {kept, kept, bye},
       true},
      {"versions mixed", get("/") + "GET / HTTP/1.0\r\n\r\n", {greeting, bye}, true},
      {"upgrade is ignored",
       get("/", "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"),
       {greeting}},
      {"upgrade to http 2 is ignored",
       get("/", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"),
       {greeting}},

      // Pipelining, half-close, empty lines
      {"two in a row",
       get("/") + get("/json"),
       {greeting, {.body = "{\"message\":\"" + hello + "\"}"}}},
      {"ten in a row", repeated(get("/"), 10), std::vector(10, greeting)},
      {"nothing is read behind close",
       get("/") + get("/", "Connection: close\r\n") + get("/"),
       {greeting, bye},
       true,
       false,
       true},
      {"half-closed client", get("/"), {greeting}, false, true},
      {"half-closed client with several requests",
       get("/") + get("/users/7"),
       {greeting, {.body = "7"}},
       false,
       true},
      {"half-closed client that wants to close",
       get("/", "Connection: close\r\n"),
       {bye},
       true,
       true},
      {"nothing at all", "", {}, false, true},
      {"empty line before", "\r\n" + get("/"), {greeting}},
      {"empty line between", get("/") + "\r\n" + get("/"), {greeting, greeting}},
      {"empty line behind", get("/") + "\r\n", {greeting}, false, true},
      {"empty line alone", "\r\n", {}, false, true},

      // Targets and routes
      {"query", get("/bytes/3?a=b&c"), {{.body = "xxx"}}},
      {"absolute target", get("http://example.com/users/1"), {{.body = "1"}}},
      {"absolute target, no path", get("http://example.com"), {greeting}},
      {"absolute target, query only", get("http://example.com?a"), {greeting}},
      {"absolute target with port", get("HTTPS://[::1]:8443/users/2?x"), {{.body = "2"}}},
      {"absolute target, http 1.0", "GET http://a/ HTTP/1.0\r\n\r\n", {bye}, true},
      {"not found", get("/nothing"), {{404, "Not Found\n", {{"Connection", ""}}}}},
      {"encoded slashes are not decoded", get("/users%2F1"), {{404, {}, {}}}},
      {"dots are not resolved", get("/x/../plaintext"), {{404, {}, {}}}},
      {"encoded line break stays in the path",
       get("/users/1%0d%0aSet-Cookie:%20a"),
       {{404, {}, {}}}},
      {"encoded line break stays in the query", get("/?%0d%0aSet-Cookie:%20a=b"), {greeting}},
      {"encoded nul", get("/%00"), {{404, {}, {}}}},
      {"typed parameter", get("/users/007"), {{.body = "007"}}},
      {"typed parameter, wrong type", get("/users/x"), {{404, {}, {}}}},
      {"handler refuses", get("/bytes/1048577"), {{400, {}, {{"Connection", ""}}}}},
      {"empty body", get("/bytes/0"), {{.body = "", .fields = {{"Content-Length", "0"}}}}},
      {"body above what is copied", get("/bytes/5000"), {{.body = std::string(5000, 'x')}}},
      {"bodies of every size",
       get("/bytes/2048") + get("/bytes/2049") + get("/bytes/9000") + get("/"),
       {{.body = std::string(2048, 'x')},
        {.body = std::string(2049, 'x')},
        {.body = std::string(9000, 'x')},
        greeting}},

      // Methods
      {"head", request("HEAD", "/"), {head_of(13)}},
      {"head is followed by the next",
       request("HEAD", "/bytes/5000") + get("/"),
       {head_of(5000), greeting}},
      {"head not found",
       request("HEAD", "/nothing"),
       {{404, "", {{"Content-Length", "10"}}, true}}},
      {"head, http 1.0", "HEAD / HTTP/1.0\r\n\r\n", {head_of(13)}, true},
      {"options",
       request("OPTIONS", "/echo"),
       {{204, "", {{"Allow", "GET, HEAD, OPTIONS, POST"}, {"Content-Length", ""}}}}},
      {"options of the server",
       request("OPTIONS", "*") + get("/"),
       {{204, "", {{"Allow", "GET, HEAD, OPTIONS, POST"}}}, greeting}},
      {"options of the server, http 1.0", "OPTIONS * HTTP/1.0\r\n\r\n", {{204, "", {}}}, true},
      {"options of nothing", request("OPTIONS", "/nothing"), {{404, {}, {}}}},
      {"method not allowed",
       request("POST", "/json") + get("/"),
       {{405, {}, {{"Allow", "GET, HEAD, OPTIONS"}}}, greeting}},
      {"delete", request("DELETE", "/"), {{405, {}, {{"Allow", "GET, HEAD, OPTIONS, POST"}}}}},
      {"trace is off", request("TRACE", "/"), {{405, {}, {}}}},
      {"known method without a route", request("PROPFIND", "/"), {{405, {}, {}}}},
      {"known method, nothing there", request("M-SEARCH", "/nothing"), {{404, {}, {}}}},

      // Fields
      {"fields are listed",
       "GET /echo HTTP/1.1\r\nhost:a\r\nX-Empty:\r\nX-Tabs:\t a b \t\r\nX-Bytes: \x80\xFF\r\n"
       "!#$%&'*+-.^_`|~09aZ: tokens\r\nX-Empty:\r\n\r\n",
       {{.body = "host: a\nX-Empty: \nX-Tabs: a b\nX-Bytes: \x80\xFF\n"
                 "!#$%&'*+-.^_`|~09aZ: tokens\nX-Empty: \n"}}},
      {"fields with an underscore are others",
       get("/echo", "Content_Length: 5\r\nTransfer_Encoding: chunked\r\n"),
       {{.body = "Host: a\nContent_Length: 5\nTransfer_Encoding: chunked\n"}}},
      {"many fields", get("/", repeated("A: b\r\n", 70)), {greeting}},
      {"host with port", "GET / HTTP/1.1\r\nHost: example.com:8080\r\n\r\n", {greeting}},
      {"host is an ipv6 address", "GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n", {greeting}},
      {"host differs from the target", get("http://b/"), {greeting}},
      {"header as large as allowed",
       get("/", "A: " + std::string(conformance_header_bytes - 32, 'a') + "\r\n"),
       {greeting}},
      {"range is ignored", get("/", "Range: bytes=0-,5-6\r\n"), {greeting}},

      // Handlers that throw
      {"handler throws",
       get("/throw") + get("/"),
       {{500, "Internal Server Error\n", {{"Allow", ""}, {"Connection", "close"}}}},
       true},
      {"handler throws an int", get("/") + get("/throw-int"), {greeting, {500, {}, {}}}, true},
      {"handler throws, head",
       request("HEAD", "/throw"),
       {{500, "", {{"Content-Length", "22"}}, true}},
       true},
  };
}

}  // namespace spawnpool
