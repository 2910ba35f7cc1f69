// A worker pool with something of known size in the handler, which the tests must find there:
//   GET /plaintext  a std::string on the heap
//   GET /calls      three system calls
//   GET /sleep      20 ms asleep
#include <time.h>  // NOLINT(modernize-deprecated-headers): clock_nanosleep is POSIX's
#include <unistd.h>

#include <iostream>
#include <string>

#include "servers/router.hpp"
#include "servers/server.hpp"

namespace {

using spawnpool::RequestContext;

void allocate(RequestContext& context) {
  std::string text(context.request.target);
  text.resize(64, '.');  // longer than what a string holds within itself
  context.response.status = text.back() == '.' ? 200 : 500;
}

void call(RequestContext& context) {
  for (int i = 0; i < 3; ++i) {
    getppid();
  }
  context.response.body = "done";
}

void sleep(RequestContext& context) {
  const timespec time{.tv_sec = 0, .tv_nsec = 20'000'000};
  clock_nanosleep(CLOCK_MONOTONIC, 0, &time, nullptr);
  context.response.body = "done";
}

}  // namespace

int main() {
  using namespace spawnpool;
  Router router;
  router.add(verb::get, "/plaintext", allocate);
  router.add(verb::get, "/calls", call);
  router.add(verb::get, "/sleep", sleep);
  const Server server({.model = Model::worker_pool,
                       .memory = MemoryPolicy::reused,
                       .pool = {.max_workers = 1, .queue_capacity = 64}},
                      std::move(router));
  std::cout << R"({"event":"ready","port":)" << server.port() << "}" << std::endl;
  pause();  // whoever started it kills it
}
