#include "servers/server.hpp"

#include <algorithm>
#include <thread>
#include <utility>

#include "servers/core/acceptor.hpp"
#include "servers/core/address_limit.hpp"
#include "servers/core/connection_registry.hpp"
#include "servers/core/listener.hpp"
#include "servers/core/thread_per_connection.hpp"

namespace spawnpool {
namespace {

// How long a connection that has not sent a byte may still do so in a drain: a client that has just
// been let in is about to send its request, one that holds a spare connection is not.
constexpr std::chrono::milliseconds fresh_grace{500};

constexpr std::chrono::milliseconds tick_interval{250};
constexpr std::chrono::milliseconds cut_interval{20};

std::unique_ptr<ServingModel> make_model(const ServerOptions& options, ServerState& state) {
  if (options.model == Model::thread_per_connection) {
    return std::make_unique<ThreadPerConnection>(state, options.memory, options.max_connections);
  }
  WorkerPoolOptions pool = options.pool;
  pool.memory = options.memory;
  return std::make_unique<WorkerPool>(state, pool);
}

}  // namespace

// In the order of construction; the end is in drain().
struct Server::Parts {
  Parts(const ServerOptions& given, Router routes)
      : options(given),
        router(std::move(routes)),
        addresses(given.max_connections_per_address),
        listener(given.address, given.port, given.backlog, options.limits, given.defer_accept),
        state{.limits = options.limits,
              .router = router,
              .counters = counters,
              .registry = registry,
              .lingering_close = lingering_close,
              .stop = stop,
              .addresses = given.max_connections_per_address == 0 ? nullptr : &addresses},
        model(make_model(options, state)) {
    model->start();
    ticker = std::thread([this] {
      while (!end_ticks.wait_for(tick_interval)) {
        model->tick(std::chrono::steady_clock::now());
      }
    });
    try {
      acceptor = std::make_unique<Acceptor>(listener, state, *model);
    } catch (...) {
      end_ticks.set();
      ticker.join();
      throw;
    }
  }

  const ServerOptions options;
  const Router router;
  Counters counters;
  ConnectionRegistry registry;
  AddressLimit addresses;
  StopEvent stop;
  StopEvent end_ticks;
  Listener listener;
  LingeringClose lingering_close;
  ServerState state;
  std::unique_ptr<ServingModel> model;
  std::thread ticker;
  std::unique_ptr<Acceptor> acceptor;
  bool drained = false;
};

Server::Server(const ServerOptions& options, Router router)
    : parts_(std::make_unique<Parts>(options, std::move(router))) {}

Server::~Server() {
  drain();
}

std::uint16_t Server::port() const {
  return parts_->listener.port();
}

const Counters& Server::counters() const {
  return parts_->counters;
}

OpenConnections Server::connections() const {
  const ConnectionRegistry::States states = parts_->registry.states();
  return {parts_->registry.open(), states.fresh, states.active, states.idle};
}

std::uint64_t Server::open_connections() const {
  return parts_->registry.open();
}

ServingModel::Sizes Server::threads() const {
  return parts_->model->sizes();
}

DrainReport Server::drain() {
  DrainReport report{.connections = connections(), .threads = threads()};
  Parts& parts = *parts_;
  if (std::exchange(parts.drained, true)) {
    return report;
  }
  const auto begin = std::chrono::steady_clock::now();
  const auto deadline = begin + parts.options.drain_timeout;
  parts.state.draining.store(true, std::memory_order_seq_cst);
  parts.acceptor->admit_no_more();
  parts.registry.end_idle(/*fresh=*/false);  // none becomes idle from now on
  const auto empty_by = [&](std::chrono::steady_clock::time_point time) {
    return parts.acceptor->wait_until_done(time) && parts.registry.wait_until_empty(time);
  };
  // Again and again, since connections come to their threads one after the other.
  auto grace = std::min(deadline, begin + fresh_grace);
  while (!empty_by(grace) && grace < deadline) {
    parts.registry.end_idle(/*fresh=*/true);
    grace = std::min(deadline, grace + fresh_grace);
  }
  parts.acceptor->stop();
  if (!parts.registry.wait_until_empty(deadline)) {
    report.cut = parts.registry.open();
    parts.model->cut();
    parts.stop.set();
    // Again and again, since a connection can have been on its way to its thread. It ends: every
    // wait for a peer is over once the socket is cut, and handlers that block heed `stop`.
    do {
      parts.registry.cut_all();
    } while (!parts.registry.wait_until_empty(std::chrono::steady_clock::now() + cut_interval));
  }
  parts.end_ticks.set();
  parts.ticker.join();
  parts.model->stop();
  parts.lingering_close.finish();
  report.duration = std::chrono::steady_clock::now() - begin;
  return report;
}

}  // namespace spawnpool
