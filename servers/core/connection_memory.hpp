// The buffers and the context of a connection, made anew or recycled.
#pragma once

#include <cstddef>
#include <memory>
#include <memory_resource>
#include <optional>
#include <span>

#include "servers/core/limits.hpp"
#include "servers/request_context.hpp"

namespace spawnpool {

// Memory for one connection at a time. With MemoryPolicy::fresh it is made when a connection begins
// and gives every request a context of its own; with MemoryPolicy::reused it is handed on from
// connection to connection, and one context serves them all: it grows to the largest body that it
// has seen, Limits::max_body_bytes at most, and never shrinks. Not thread-safe.
class ConnectionMemory {
 public:
  static constexpr std::size_t output_size = 8 * 1024;
  static constexpr std::size_t scratch_size = 2 * 1024;
  static constexpr std::size_t min_body_room = 4 * 1024;

  ConnectionMemory(const Limits& limits, MemoryPolicy policy, const StopEvent& stop);

  // Input: room for the largest header, min_body_room bytes for what follows it, and at least as
  // many for requests before it.
  std::span<char> input() { return {input_.get(), input_size_}; }
  std::span<char> output() { return {output_.get(), output_size}; }

  // The context of the next request, empty. The one before is gone. What its memory needs beyond
  // the scratch comes from the heap, or, when reused, from blocks that are kept (up to 4 MiB each).
  RequestContext& begin_request();

 private:
  void make_context();

  MemoryPolicy policy_;
  const StopEvent& stop_;
  std::size_t input_size_;
  // In this order they lie behind each other, so that the beginning of the output shares a page
  // with the connection's other memory, and that of the input with the context: the fewer pages a
  // request touches, the less it waits for them when many connections take turns.
  std::unique_ptr<char[]> output_;  // and, behind it, the scratch of the contexts
  std::optional<std::pmr::unsynchronized_pool_resource> kept_blocks_;  // when reused
  std::unique_ptr<RequestContext> context_;
  std::unique_ptr<char[]> input_;
};

}  // namespace spawnpool
