// What it costs to parse a request, as a connection does: the header, then its body, into a context
// that is used again and again.
#include <benchmark/benchmark.h>

#include <string>
#include <string_view>

#include "harness/micro/heap_use.hpp"
#include "servers/core/connection_memory.hpp"
#include "servers/http/request_parser.hpp"

namespace {

using namespace spawnpool;

constexpr std::size_t body_bytes = 1024;

std::string small_get() {
  return "GET /plaintext HTTP/1.1\r\nHost: localhost\r\n\r\n";
}

// The ten header fields that Firefox sends.
std::string browser_get() {
  return "GET /users/42?sort=name HTTP/1.1\r\n"
         "Host: www.example.com\r\n"
         "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Firefox/115.0\r\n"
         "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
         "Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\n"
         "Accept-Encoding: gzip, deflate, br\r\n"
         "Connection: keep-alive\r\n"
         "Referer: https://www.example.com/users\r\n"
         "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n"
         "Upgrade-Insecure-Requests: 1\r\n"
         "Cache-Control: max-age=0\r\n"
         "\r\n";
}

std::string post() {
  return "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1024\r\n\r\n" +
         std::string(body_bytes, 'x');
}

std::string chunked_post() {  // four chunks
  std::string text = "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int chunk = 0; chunk < 4; ++chunk) {
    text += "100\r\n" + std::string(body_bytes / 4, 'x') + "\r\n";
  }
  return text + "0\r\n\r\n";
}

bool parse_whole(RequestContext& context, const Limits& limits, std::string_view bytes) {
  RequestParser parser(context.request, context.body, limits.max_header_bytes,
                       limits.max_body_bytes);
  while (!bytes.empty() && !parser.done() && !parser.refusal()) {
    bytes.remove_prefix(parser.parse(bytes));
  }
  return parser.done() && bytes.empty();
}

void parse(benchmark::State& state, std::string (*make)(), std::size_t fields, std::size_t body) {
  const std::string bytes = make();
  const Limits limits;
  const StopEvent stop;
  ConnectionMemory memory(limits, MemoryPolicy::reused, stop);
  RequestContext& context = memory.begin_request();
  if (!parse_whole(context, limits, bytes) || context.request.fields.size() != fields ||
      context.request.body != std::string(body, 'x')) {
    state.SkipWithError("the request was not parsed into what it says");
    return;
  }
  bool whole = true;
  micro::count_from_here();
  for ([[maybe_unused]] auto _ : state) {
    whole &= parse_whole(memory.begin_request(), limits, bytes);
  }
  micro::count_to_here();
  if (!whole) {
    state.SkipWithError("a request that could be parsed once could not be parsed again");
  }
}

BENCHMARK_CAPTURE(parse, small_get, small_get, 1, 0);
BENCHMARK_CAPTURE(parse, browser_get, browser_get, 10, 0);
BENCHMARK_CAPTURE(parse, post_1kb, post, 2, body_bytes);
BENCHMARK_CAPTURE(parse, post_1kb_chunked, chunked_post, 2, body_bytes);

}  // namespace
