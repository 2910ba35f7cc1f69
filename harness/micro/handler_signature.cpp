// Which signature should a handler have? fasthttp gives it one context; net/http gives it a request
// and a writer behind an interface. The same handlers in three forms, called through a pointer as a
// router does, each leaving the same bytes in the output buffer:
//   context   void(RequestContext&)
//   pair      void(const Request&, Response&)
//   writer    void(ResponseWriter&, const Request&), ResponseWriter abstract
// A benchmark ends with an error when the bytes of its form are not those of the first.
#include <benchmark/benchmark.h>

#include <array>
#include <cstring>
#include <string>

#include "harness/micro/example.hpp"
#include "harness/micro/heap_use.hpp"
#include "servers/request_context.hpp"

namespace {

using spawnpool::ConnectionHeader;
using spawnpool::Request;
using spawnpool::RequestContext;
using spawnpool::Response;
using spawnpool::StopEvent;
using spawnpool::micro::json;
using spawnpool::micro::some_time;

// What net/http hands to a handler: the head is written with the first bytes of the body.
class ResponseWriter {
 public:
  virtual ~ResponseWriter() = default;
  virtual void set_content_type(std::string_view type) = 0;
  virtual void set_status(unsigned status) = 0;
  virtual void write(std::string_view bytes) = 0;
};

char* write_whole(char* out, const Response& response) {
  out = spawnpool::write_response_head(out, response, ConnectionHeader::none, some_time);
  std::memcpy(out, response.body.data(), response.body.size());
  return out + response.body.size();
}

class BufferWriter final : public ResponseWriter {
 public:
  explicit BufferWriter(char* out) : out_(out) {}
  void set_content_type(std::string_view type) override { response_.content_type = type; }
  void set_status(unsigned status) override { response_.status = status; }
  void write(std::string_view bytes) override { response_.body = bytes; }
  char* finish() { return write_whole(out_, response_); }

 private:
  Response response_;
  char* out_;
};

void handle_context(RequestContext& context) {
  context.response.content_type = "application/json";
  context.response.body = context.request.body.empty() ? json : context.request.body;
}

void handle_pair(const Request& request, Response& response) {
  response.content_type = "application/json";
  response.body = request.body.empty() ? json : request.body;
}

void handle_writer(ResponseWriter& writer, const Request& request) {
  writer.set_content_type("application/json");
  writer.set_status(200);
  writer.write(request.body.empty() ? json : request.body);
}

// The pointers are volatile so that no call is inlined: a router knows them at run time only.
void (*volatile context_handler)(RequestContext&) = handle_context;
void (*volatile pair_handler)(const Request&, Response&) = handle_pair;
void (*volatile writer_handler)(ResponseWriter&, const Request&) = handle_writer;

using Output = std::array<char, 1024>;

struct Fixture {
  StopEvent stop;
  std::array<char, 256> scratch{};
  RequestContext context{stop, scratch};
  Output output{};
};

std::string_view run_context(Fixture& fixture) {
  fixture.context.response = Response();
  context_handler(fixture.context);
  char* const end = write_whole(fixture.output.data(), fixture.context.response);
  return {fixture.output.data(), static_cast<std::size_t>(end - fixture.output.data())};
}

std::string_view run_pair(Fixture& fixture) {
  Response response;
  pair_handler(fixture.context.request, response);
  char* const end = write_whole(fixture.output.data(), response);
  return {fixture.output.data(), static_cast<std::size_t>(end - fixture.output.data())};
}

std::string_view run_writer(Fixture& fixture) {
  BufferWriter writer(fixture.output.data());
  writer_handler(writer, fixture.context.request);
  char* const end = writer.finish();
  return {fixture.output.data(), static_cast<std::size_t>(end - fixture.output.data())};
}

void handler_signature(benchmark::State& state, std::string_view (*run)(Fixture&)) {
  Fixture expected;
  Fixture fixture;
  if (run(fixture) != run_context(expected)) {
    state.SkipWithError("this form of the handler answers other bytes than the context form");
    return;
  }
  spawnpool::micro::count_from_here();
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(run(fixture).size());
    benchmark::ClobberMemory();
  }
  spawnpool::micro::count_to_here();
}

BENCHMARK_CAPTURE(handler_signature, context, run_context);
BENCHMARK_CAPTURE(handler_signature, pair, run_pair);
BENCHMARK_CAPTURE(handler_signature, writer, run_writer);

}  // namespace
