// A serving model with everything around it but the accept loop, which the test takes the place of.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <vector>

#include "servers/core/address_limit.hpp"
#include "servers/core/connection.hpp"
#include "servers/core/connection_registry.hpp"
#include "servers/core/listener.hpp"
#include "servers/core/serving_model.hpp"
#include "servers/handlers.hpp"
#include "servers/testing/client.hpp"

namespace spawnpool::testing {

// Answers with the id of the thread that serves, which tells workers apart.
inline void answer_thread(RequestContext& context) {
  const std::span<char> text = context.allocate(16);
  const auto end = std::to_chars(text.data(), text.data() + text.size(), gettid()).ptr;
  context.response.body = {text.data(), static_cast<std::size_t>(end - text.data())};
}

// GET /hold keeps its thread until the test opens the gate, or the server gives up. Handlers are
// functions without an object, so there is one gate; a test begins by closing it.
class Gate {
 public:
  static void close() {
    open_ = false;
    held_ = 0;
  }
  static void open() { open_ = true; }
  static std::size_t held() { return held_; }  // requests that came to the gate

  static void hold(RequestContext& context) {
    ++held_;
    while (!open_ && !context.stop().wait_for(std::chrono::milliseconds(1))) {
    }
    context.response.body = open_ ? "held" : "given up";
  }

 private:
  static inline std::atomic<bool> open_ = false;
  static inline std::atomic<std::size_t> held_ = 0;
};

// More than the kernel's buffers take by default (net.ipv4.tcp_wmem and tcp_rmem), so that a client
// that does not read keeps its thread in send.
inline void answer_huge(RequestContext& context) {
  static const std::vector<char> body(64 * 1024 * 1024);
  context.response.body = {body.data(), body.size()};
}

// The usual routes, GET /thread, GET /hold and GET /huge.
inline Router make_test_routes() {
  Router routes = make_routes();
  routes.add(verb::get, "/thread", answer_thread);
  routes.add(verb::get, "/hold", Gate::hold);
  routes.add(verb::get, "/huge", answer_huge);
  return routes;
}

struct Serving {
  Limits limits;
  Router router = make_test_routes();
  Counters counters;
  ConnectionRegistry registry;
  StopEvent stop;
  Listener listener{"127.0.0.1", 0, 4096, limits};
  LingeringClose lingering_close;
  ServerState state{.limits = limits,
                    .router = router,
                    .counters = counters,
                    .registry = registry,
                    .lingering_close = lingering_close,
                    .stop = stop};

  // Accepts the client that connected first and was not accepted.
  Socket accept() { return Socket(accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC)); }

  // What the accept loop does with a connection.
  Dispatch hand_over(ServingModel& model, Socket& socket) {
    registry.admit();
    const Dispatch result = model.dispatch(socket);
    if (result != Dispatch::taken) {
      registry.dismiss();
    }
    return result;
  }
  Dispatch hand_over(ServingModel& model) {
    Socket socket = accept();
    return hand_over(model, socket);
  }

  // A client whose connection the model has taken.
  Client connect(ServingModel& model) {
    Client client(listener.port());
    if (hand_over(model) != Dispatch::taken) {
      throw std::runtime_error("the model did not take the connection");
    }
    return client;
  }
};

}  // namespace spawnpool::testing
