// What it costs to turn an answer into bytes: the server's prepared header bytes against Beast's
// message and serializer, with its fields on the heap and, for what remains without the heap, in an
// arena. Each form leaves the same bytes; a benchmark ends with an error when they are others.
// Beast makes no Date: it is given the ready text, which the server's form looks up in its cache.
#include <benchmark/benchmark.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/span_body.hpp>
#include <memory_resource>
#include <string_view>

#include "harness/micro/example.hpp"
#include "harness/micro/heap_use.hpp"
#include "servers/http/response.hpp"

namespace {

namespace http = boost::beast::http;
using spawnpool::micro::json;
using spawnpool::micro::some_time;

constexpr std::string_view some_date = "Sun, 06 Nov 1994 08:49:37 GMT";

using Output = std::array<char, 1024>;

std::string_view write_prepared(Output& output) {
  const spawnpool::Response response{.content_type = "application/json", .body = json};
  char* end = spawnpool::write_response_head(output.data(), response,
                                             spawnpool::ConnectionHeader::none, some_time);
  end = std::copy(json.begin(), json.end(), end);
  return {output.data(), static_cast<std::size_t>(end - output.data())};
}

template <class Allocator>
std::string_view write_beast(Output& output, const Allocator& allocator) {
  using Body = http::span_body<const char>;
  using Fields = http::basic_fields<Allocator>;
  http::response<Body, Fields> response(std::piecewise_construct, std::tuple<>(),
                                        std::make_tuple(allocator));
  response.version(11);
  response.result(http::status::ok);
  const auto view = [](std::string_view text) {
    return boost::beast::string_view(text.data(), text.size());
  };
  response.set(http::field::server, "spawnpool");
  response.set(http::field::date, view(some_date));
  response.set(http::field::content_type, "application/json");
  response.content_length(json.size());
  response.body() = {json.data(), json.size()};
  http::serializer<false, Body, Fields> serializer(response);
  boost::asio::mutable_buffer left = boost::asio::buffer(output);
  boost::beast::error_code error;
  while (!serializer.is_done() && !error) {
    serializer.next(error, [&](boost::beast::error_code&, const auto& buffers) {
      const std::size_t copied = boost::asio::buffer_copy(left, buffers);
      left += copied;
      serializer.consume(copied);
    });
  }
  return {output.data(), output.size() - left.size()};
}

std::string_view write_beast_heap(Output& output) {
  return write_beast(output, std::allocator<char>());
}

// As Beast's own example of a fast server does.
std::string_view write_beast_arena(Output& output) {
  std::array<char, 2048> block;
  std::pmr::monotonic_buffer_resource arena(block.data(), block.size());
  return write_beast(output, std::pmr::polymorphic_allocator<char>(&arena));
}

void write_response(benchmark::State& state, std::string_view (*write)(Output&)) {
  Output expected;
  Output output;
  if (write(output) != write_prepared(expected)) {
    state.SkipWithError("this form writes other bytes than the prepared one");
    return;
  }
  spawnpool::micro::count_from_here();
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(write(output).size());
    benchmark::ClobberMemory();
  }
  spawnpool::micro::count_to_here();
}

BENCHMARK_CAPTURE(write_response, prepared, write_prepared);
BENCHMARK_CAPTURE(write_response, beast, write_beast_heap);
BENCHMARK_CAPTURE(write_response, beast_arena, write_beast_arena);

}  // namespace
