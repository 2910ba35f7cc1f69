// What a whole connection costs, by model and memory policy: the real serving models and the real
// connection over a socket pair. The benchmark's thread is the client and the accept loop: it hands
// one end to the model, asks over the other, one request after the other, and waits until the
// server has closed. Real time, and the CPU time of all threads, the client's among it.
#include <benchmark/benchmark.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "harness/micro/heap_use.hpp"
#include "servers/core/connection_registry.hpp"
#include "servers/core/thread_per_connection.hpp"
#include "servers/core/worker_pool.hpp"
#include "servers/handlers.hpp"

namespace {

using spawnpool::ConnectionHeader;
using spawnpool::MemoryPolicy;
using spawnpool::ServerState;
using spawnpool::ServingModel;
using spawnpool::Socket;

using MakeModel = std::unique_ptr<ServingModel> (*)(ServerState&, MemoryPolicy);

std::unique_ptr<ServingModel> thread_per_connection(ServerState& server, MemoryPolicy memory) {
  return std::make_unique<spawnpool::ThreadPerConnection>(server, memory, /*max_connections=*/0);
}

std::unique_ptr<ServingModel> worker_pool(ServerState& server, MemoryPolicy memory) {
  return std::make_unique<spawnpool::WorkerPool>(server,
                                                 spawnpool::WorkerPoolOptions{.memory = memory});
}

constexpr std::string_view body = "Hello, World!";
constexpr std::string_view request = "GET /plaintext HTTP/1.1\r\nHost: localhost\r\n\r\n";
constexpr std::string_view last_request =
    "GET /plaintext HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

// The answer that is due, but for its Date.
class ExpectedAnswer {
 public:
  explicit ExpectedAnswer(ConnectionHeader header) {
    std::array<char, spawnpool::max_response_head_bytes> head;
    const char* const end =
        spawnpool::write_response_head(head.data(), {.body = body}, header, /*now=*/0);
    bytes_.assign(static_cast<const char*>(head.data()), end).append(body);
    date_ = bytes_.find("Date: ") + std::string_view("Date: ").size();
  }

  std::size_t size() const { return bytes_.size(); }
  bool is(std::string_view answer) const {
    return answer.size() == size() && answer.substr(0, date_) == first() &&
           answer.substr(date_ + date_size) == rest();
  }

 private:
  static constexpr std::size_t date_size = 29;
  std::string_view first() const { return std::string_view(bytes_).substr(0, date_); }
  std::string_view rest() const { return std::string_view(bytes_).substr(date_ + date_size); }

  std::string bytes_;
  std::size_t date_ = 0;
};

// A server without its accept loop, and its client.
class Serving {
 public:
  Serving(MakeModel make, MemoryPolicy memory) : model_(make(state_, memory)) {
    model_->start();
    // No connection here is closed that way, and its thread would allocate some time or other.
    lingering_close_.finish();
  }

  // The life of one connection of so many requests. False when anything was not as it should be.
  bool live(std::int64_t requests) {
    std::array<int, 2> ends{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
      return false;
    }
    const Socket client(ends[0]);
    Socket server(ends[1]);
    const timeval bound{10, 0};  // a server that says nothing must not hold up the benchmark
    setsockopt(client.fd(), SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof(bound));
    registry_.admit();
    if (model_->dispatch(server) != spawnpool::Dispatch::taken) {
      registry_.dismiss();
      return false;
    }
    for (std::int64_t left = requests; left > 1; --left) {
      if (!ask(client, request, kept_)) {
        return false;
      }
    }
    char beyond = 0;
    return ask(client, last_request, closed_) && recv(client.fd(), &beyond, 1, 0) == 0;
  }

  // Waits until no thread is at work any more, since one is still a moment after its client has
  // seen the end. False when that takes too long.
  bool settle() {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (std::chrono::steady_clock::now() < deadline) {
      const ServingModel::Sizes sizes = model_->sizes();
      if (sizes.threads == sizes.ready) {
        return true;
      }
      sched_yield();
    }
    return false;
  }

  // Requests that the server says it has answered. Call it when no connection is open.
  std::uint64_t answered() {
    model_->stop();
    return counters_.requests;
  }

 private:
  static bool ask(const Socket& client, std::string_view bytes, const ExpectedAnswer& expected) {
    if (send(client.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(bytes.size())) {
      return false;
    }
    std::array<char, 1024> answer;
    std::size_t size = 0;
    while (size < expected.size()) {
      const ssize_t n = recv(client.fd(), answer.data() + size, expected.size() - size, 0);
      if (n <= 0) {
        return false;
      }
      size += static_cast<std::size_t>(n);
    }
    return expected.is({answer.data(), size});
  }

  const ExpectedAnswer kept_{ConnectionHeader::none};
  const ExpectedAnswer closed_{ConnectionHeader::close};
  const spawnpool::Limits limits_;
  const spawnpool::Router router_ = spawnpool::make_routes();
  spawnpool::Counters counters_;
  spawnpool::ConnectionRegistry registry_;
  spawnpool::StopEvent stop_;
  spawnpool::LingeringClose lingering_close_;
  ServerState state_{.limits = limits_,
                     .router = router_,
                     .counters = counters_,
                     .registry = registry_,
                     .lingering_close = lingering_close_,
                     .stop = stop_};
  const std::unique_ptr<ServingModel> model_;
};

void connection_life(benchmark::State& state, MakeModel make, MemoryPolicy memory) {
  const std::int64_t requests = state.range(0);
  Serving serving(make, memory);
  if (!serving.live(requests) || !serving.settle()) {  // what is made once is made now
    state.SkipWithError("a connection was not served to its end");
    return;
  }
  bool served = true;
  spawnpool::micro::count_from_here();
  for ([[maybe_unused]] auto _ : state) {
    served = served && serving.live(requests);
  }
  spawnpool::micro::count_to_here();
  const auto asked = static_cast<std::uint64_t>((state.iterations() + 1) * requests);
  if (!served || serving.answered() != asked) {
    state.SkipWithError("a connection was not served to its end");
  }
}

void lives(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("requests")->Arg(1)->Arg(10)->MeasureProcessCPUTime()->UseRealTime();
}

BENCHMARK_CAPTURE(connection_life, thread_per_connection_fresh, thread_per_connection,
                  MemoryPolicy::fresh)
    ->Apply(lives);
BENCHMARK_CAPTURE(connection_life, thread_per_connection_reused, thread_per_connection,
                  MemoryPolicy::reused)
    ->Apply(lives);
BENCHMARK_CAPTURE(connection_life, worker_pool_fresh, worker_pool, MemoryPolicy::fresh)
    ->Apply(lives);
BENCHMARK_CAPTURE(connection_life, worker_pool_reused, worker_pool, MemoryPolicy::reused)
    ->Apply(lives);

}  // namespace
