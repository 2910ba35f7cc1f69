// A worker pool with one std::string on the way of every request: what the test of zero allocations
// must notice.
#include <unistd.h>

#include <iostream>
#include <string>

#include "servers/router.hpp"
#include "servers/server.hpp"

namespace {

void answer(spawnpool::RequestContext& context) {
  std::string text(context.request.target);
  text.resize(64, '.');  // longer than what a string holds within itself
  context.response.status = text.back() == '.' ? 200 : 500;
}

}  // namespace

int main() {
  using namespace spawnpool;
  Router router;
  router.add(verb::get, "/plaintext", answer);
  const Server server({.model = Model::worker_pool,
                       .memory = MemoryPolicy::reused,
                       .pool = {.max_workers = 1, .queue_capacity = 64}},
                      std::move(router));
  std::cout << "{\"port\":" << server.port() << "}" << std::endl;
  pause();  // whoever started it kills it
}
