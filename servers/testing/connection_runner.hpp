// Runs a connection, by itself or in a serving model, with the bounds of every read and write under
// control.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "servers/core/connection.hpp"
#include "servers/core/connection_registry.hpp"
#include "servers/core/serving_model.hpp"

namespace spawnpool::testing {

// What a connection did.
struct ConnectionRun {
  std::vector<std::string> writes;  // the bytes of each send
  bool reset = false;  // the socket was closed over unread input: TCP could lose the answer

  std::string bytes() const;  // of all writes
};

// The socket pair is SOCK_SEQPACKET: it keeps the bounds of what is written. So a connection sees
// exactly the reads that a test wants, and a test sees its every write.
class ConnectionRunner {
 public:
  // Connections run on the thread that calls run().
  ConnectionRunner(Router router, const Limits& limits, MemoryPolicy memory);

  // Connections run on the threads of a model that takes one at any time.
  using MakeModel = std::function<std::unique_ptr<ServingModel>(ServerState&)>;
  ConnectionRunner(Router router, const Limits& limits, const MakeModel& make_model);

  // Serves a client that sends `parts`, each of which one recv of the connection gets, and then
  // shuts down its side of the connection. Empty parts are left out. All of them together must fit
  // the connection's input, and all answers the socket's buffer.
  ConnectionRun run(const std::vector<std::string_view>& parts);

  const Counters& counters() const { return counters_; }
  ServerState& state() { return state_; }

 private:
  void serve(Socket socket);

  const Router router_;
  const Limits limits_;
  const MemoryPolicy policy_;
  Counters counters_;
  ConnectionRegistry registry_;
  StopEvent stop_;
  std::optional<LingeringClose> lingering_close_{std::in_place};
  ServerState state_{.limits = limits_,
                     .router = router_,
                     .counters = counters_,
                     .registry = registry_,
                     .lingering_close = *lingering_close_,
                     .stop = stop_};
  const std::unique_ptr<ServingModel> model_;  // null: none
  std::unique_ptr<ConnectionMemory> memory_;
  std::size_t runs_ = 0;
  std::vector<char> packet_;  // room for the largest that a socket pair takes
};

}  // namespace spawnpool::testing
