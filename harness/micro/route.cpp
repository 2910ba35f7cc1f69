// What it costs to find the handler of a request among the server's routes, and to run it: each of
// these handlers does no more than to set the answer's views.
#include <benchmark/benchmark.h>

#include <array>
#include <string_view>

#include "harness/micro/heap_use.hpp"
#include "servers/handlers.hpp"

namespace {

using spawnpool::RequestContext;
using spawnpool::Response;

// The server's own routes, and one with a wildcard, of which the server has none.
spawnpool::Router make_router() {
  spawnpool::Router router = spawnpool::make_routes();
  router.add(spawnpool::verb::get, "/files/{path...}",
             [](RequestContext& context) { context.response.body = context.parameters["path"]; });
  return router;
}

void route(benchmark::State& state, std::string_view path, unsigned status, std::string_view body) {
  const spawnpool::Router router = make_router();
  const spawnpool::StopEvent stop;
  std::array<char, 256> scratch{};
  RequestContext context(stop, scratch);
  context.request.method = spawnpool::verb::get;
  context.request.path = path;
  router.handle(context);
  if (context.response.status != status || context.response.body != body) {
    state.SkipWithError("the path was answered by another handler than its own");
    return;
  }
  spawnpool::micro::count_from_here();
  for ([[maybe_unused]] auto _ : state) {
    context.parameters.truncate(0);
    context.response = Response();
    router.handle(context);
    benchmark::DoNotOptimize(context.response.body.data());
    benchmark::ClobberMemory();
  }
  spawnpool::micro::count_to_here();
}

BENCHMARK_CAPTURE(route, static_path, "/plaintext", 200, "Hello, World!");
BENCHMARK_CAPTURE(route, parameter, "/users/42", 200, "42");
BENCHMARK_CAPTURE(route, wildcard, "/files/css/site.css", 200, "css/site.css");
BENCHMARK_CAPTURE(route, miss, "/no/such/page", 404, "Not Found\n");

}  // namespace
