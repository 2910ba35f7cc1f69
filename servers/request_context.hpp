// The one argument of a handler.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <memory_resource>
#include <span>
#include <string_view>
#include <vector>

#include "servers/http/request.hpp"
#include "servers/http/response.hpp"
#include "servers/stop_event.hpp"

namespace spawnpool {

struct PathParameter {
  std::string_view name;   // as in the route
  std::string_view value;  // as in the path, not decoded
};

// The parameters of the matched route, in the order of the path.
class PathParameters {
 public:
  static constexpr std::size_t capacity = 8;  // the router refuses routes with more

  void push(PathParameter parameter) {
    assert(size_ < capacity);
    values_[size_++] = parameter;
  }
  void truncate(std::size_t size) { size_ = size; }
  std::size_t size() const { return size_; }

  // The value of a parameter that the route has; empty for any other name.
  std::string_view operator[](std::string_view name) const {
    for (const PathParameter& parameter : std::span(values_).first(size_)) {
      if (parameter.name == name) {
        return parameter.value;
      }
    }
    return {};
  }

 private:
  std::array<PathParameter, capacity> values_;
  std::size_t size_ = 0;
};

// Everything about one request: what was asked, the response to fill in, and memory that lives as
// long as the request. One thread uses it at a time.
class RequestContext {
 public:
  // `scratch` is where memory() begins, `beyond` where it goes on. Both outlive the context.
  RequestContext(const StopEvent& stop, std::span<char> scratch,
                 std::pmr::memory_resource* beyond = std::pmr::new_delete_resource())
      : stop_(stop), memory_(scratch.data(), scratch.size(), beyond) {
    request.fields.reserve(16);
  }

  RequestContext(const RequestContext&) = delete;
  RequestContext& operator=(const RequestContext&) = delete;

  Request request;
  PathParameters parameters;
  Response response;

  // Storage of request.body; the connection fills it.
  std::vector<char> body;

  // Memory until the end of the request.
  std::pmr::memory_resource& memory() { return memory_; }

  // `size` bytes from memory(), uninitialised.
  std::span<char> allocate(std::size_t size) {
    return {static_cast<char*>(memory_.allocate(size, 1)), size};
  }

  // Set when the server gives up waiting; a handler that blocks waits on it instead of sleeping.
  const StopEvent& stop() const { return stop_; }

  // Makes the context ready for the next request. The body keeps its memory; what memory() took
  // goes back to where it came from.
  void reset() {
    request.clear();
    parameters.truncate(0);
    response = Response();
    body.clear();
    memory_.release();
  }

 private:
  const StopEvent& stop_;
  std::pmr::monotonic_buffer_resource memory_;
};

// A handler reads context.request and context.parameters and fills in context.response.
// It may throw: the client gets 500 and the connection is closed.
using Handler = void (*)(RequestContext&);

}  // namespace spawnpool
