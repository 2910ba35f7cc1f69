#include "servers/handlers.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <ctime>
#include <optional>
#include <string>

namespace spawnpool {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t max_bytes = 1024 * 1024;
constexpr std::uint64_t max_work_us = 10'000'000;
constexpr std::uint64_t max_sleep_ms = 60'000;

std::optional<std::uint64_t> to_uint(std::string_view text) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  return error == std::errc{} && rest == end ? std::optional(value) : std::nullopt;
}

void bad_request(RequestContext& context, std::string_view why) {
  context.response.status = 400;
  context.response.body = why;
}

void stopping(RequestContext& context) {
  context.response.status = 503;
  context.response.body = "server is stopping\n";
}

// The number in a query parameter, at most `max`; answers 400 with `why` otherwise.
std::optional<std::uint64_t> query_number(RequestContext& context, std::string_view name,
                                          std::uint64_t max, std::string_view why) {
  const auto text = context.request.query_parameter(name);
  const auto value = text ? to_uint(*text) : std::nullopt;
  if (!value || *value > max) {
    bad_request(context, why);
    return std::nullopt;
  }
  return value;
}

void plaintext(RequestContext& context) {
  context.response.body = "Hello, World!";
}

void json(RequestContext& context) {
  context.response.content_type = "application/json";
  context.response.body = R"({"message":"Hello, World!"})";
}

void echo_body(RequestContext& context) {
  context.response.content_type = "application/octet-stream";
  context.response.body = context.request.body;
}

void echo_fields(RequestContext& context) {
  std::size_t size = 0;
  for (const HeaderField& field : context.request.fields) {
    size += field.name.size() + field.value.size() + 3;
  }
  const std::span<char> text = context.allocate(size);
  char* out = text.data();
  for (const HeaderField& field : context.request.fields) {
    out = std::copy(field.name.begin(), field.name.end(), out);
    out = std::copy_n(": ", 2, out);
    out = std::copy(field.value.begin(), field.value.end(), out);
    *out++ = '\n';
  }
  context.response.body = {text.data(), text.size()};
}

void user(RequestContext& context) {
  context.response.body = context.parameters["id"];
}

void bytes(RequestContext& context) {
  static const std::string source(max_bytes, 'x');
  const auto count = to_uint(context.parameters["n"]);
  if (!count || *count > max_bytes) {
    return bad_request(context, "/bytes/{n}: n is at most 1048576\n");
  }
  context.response.content_type = "application/octet-stream";
  context.response.body = std::string_view(source).substr(0, *count);
}

std::chrono::nanoseconds thread_cpu_time() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

void work(RequestContext& context) {
  const auto us = query_number(context, "us", max_work_us,
                               "/work?us=N: N is a whole number, at most 10000000\n");
  if (!us) {
    return;
  }
  // The thread's clock is a system call, the steady clock is not, and the thread's never runs
  // faster: it is looked at when its time can have passed. So the work is user time, and costs two
  // calls, more only where something else had the CPU meanwhile.
  std::chrono::nanoseconds missing = std::chrono::microseconds(*us);
  for (const auto end = thread_cpu_time() + missing; missing > 0ns;
       missing = end - thread_cpu_time()) {
    const auto due = std::chrono::steady_clock::now() + missing;
    while (std::chrono::steady_clock::now() < due) {
      if (context.stop().is_set()) {
        return stopping(context);
      }
    }
  }
  context.response.body = "done\n";
}

void sleep(RequestContext& context) {
  const auto ms = query_number(context, "ms", max_sleep_ms,
                               "/sleep?ms=N: N is a whole number, at most 60000\n");
  if (!ms) {
    return;
  }
  if (context.stop().wait_for(std::chrono::milliseconds(*ms))) {
    return stopping(context);
  }
  context.response.body = "done\n";
}

}  // namespace

Router make_routes() {
  Router router;
  router.add(verb::get, "/", plaintext);
  router.add(verb::post, "/", echo_body);
  router.add(verb::get, "/plaintext", plaintext);
  router.add(verb::get, "/json", json);
  router.add(verb::get, "/echo", echo_fields);
  router.add(verb::post, "/echo", echo_body);
  router.add(verb::get, "/users/{id:uint}", user);
  router.add(verb::get, "/bytes/{n:uint}", bytes);
  router.add(verb::get, "/work", work);
  router.add(verb::get, "/sleep", sleep);
  return router;
}

}  // namespace spawnpool
