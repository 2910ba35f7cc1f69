// libFuzzer target: a whole connection, from its bytes to the answers, in pieces of any size.
// An input is what a client sends; its last byte is the size of the pieces, less one.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "servers/router.hpp"
#include "servers/testing/connection_runner.hpp"
#include "servers/testing/response_reader.hpp"

namespace {

using namespace spawnpool;

constexpr std::size_t most_pieces = 64;  // what the buffer of a socket holds in any case
constexpr std::string_view interim = "HTTP/1.1 100 Continue\r\n\r\n";

void say_hello(RequestContext& context) {
  context.response.body = "Hello, World!";
}
void echo(RequestContext& context) {
  context.response.body = context.request.body;
}
void answer_id(RequestContext& context) {
  context.response.body = context.parameters["id"];
}

// Every kind of route; none that takes long or answers more than a socket's buffer holds.
Router make_routes() {
  Router routes;
  routes.add(verb::get, "/", say_hello);
  routes.add(verb::post, "/", echo);
  routes.add(verb::get, "/users/{id:uint}", answer_id);
  routes.add(verb::get, "/names/{id}", answer_id);
  routes.add(verb::get, "/files/{id...}", answer_id);
  return routes;
}

[[noreturn]] void fail(const char* what, const std::string& bytes) {
  std::fprintf(stderr, "%s:\n%s\n", what, bytes.c_str());
  std::abort();
}

// Whether `bytes` are answers and nothing else. Which of them are to HEAD is not known: both
// readings are tried.
bool are_answers(const std::string& bytes) {
  if (bytes.empty()) {
    return true;
  }
  for (const bool to_head : {false, true}) {
    std::string rest = bytes;
    try {
      if (testing::take_response(rest, to_head) && are_answers(rest)) {
        return true;
      }
    } catch (const testing::MalformedResponse&) {
      continue;
    }
  }
  return false;
}

// What may differ from run to run taken out: the time, whether a client waited for its body, and
// which of the faults of a message is told, that it broke off among them.
std::string comparable(std::string bytes) {
  for (const char* status : {"400", "413", "417", "431", "501", "505"}) {
    const std::size_t at = bytes.find(std::string("HTTP/1.1 ") + status);
    if (at != std::string::npos) {
      bytes.resize(at);  // the connection ends with it
      bytes += "refused";
    }
  }
  for (std::size_t at = 0; (at = bytes.find(interim, at)) != std::string::npos;) {
    bytes.erase(at, interim.size());
  }
  constexpr std::string_view date = "\r\nDate: ";
  for (std::size_t at = 0; (at = bytes.find(date, at)) != std::string::npos;) {
    at += date.size();
    bytes.erase(at, bytes.find('\r', at) - at);
  }
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const char* data, std::size_t size) {
  static testing::ConnectionRunner runner(make_routes(), {.max_body_bytes = 1024},
                                          MemoryPolicy::reused);
  if (size == 0) {
    return 0;
  }
  const std::string_view input(data, size - 1);
  const std::size_t piece = 1 + static_cast<unsigned char>(data[size - 1]);
  std::vector<std::string_view> pieces;
  std::string_view rest = input;
  while (rest.size() > piece && pieces.size() < most_pieces) {
    pieces.push_back(rest.substr(0, piece));
    rest.remove_prefix(piece);
  }
  pieces.push_back(rest);

  const std::string whole = runner.run({input}).bytes();
  const std::string in_pieces = runner.run(pieces).bytes();
  if (!are_answers(whole)) {
    fail("these are no answers", whole);
  }
  if (comparable(whole) != comparable(in_pieces)) {
    fail("in pieces the answers are others", whole + "\n--- in pieces:\n" + in_pieces);
  }
  return 0;
}
