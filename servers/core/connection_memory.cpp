#include "servers/core/connection_memory.hpp"

#include <algorithm>

namespace spawnpool {
namespace {

// The largest block that libstdc++ keeps, and more than what the handlers take.
constexpr std::size_t max_kept_block = 4 * 1024 * 1024;

}  // namespace

ConnectionMemory::ConnectionMemory(const Limits& limits, MemoryPolicy policy, const StopEvent& stop)
    : policy_(policy),
      stop_(stop),
      input_size_(limits.max_header_bytes + std::max(limits.max_header_bytes, 2 * min_body_room)),
      output_(std::make_unique_for_overwrite<char[]>(output_size + scratch_size)) {
  if (policy == MemoryPolicy::reused) {
    kept_blocks_.emplace(std::pmr::pool_options{
        .max_blocks_per_chunk = 1,
        .largest_required_pool_block = max_kept_block,
    });
    make_context();
  }
  input_ = std::make_unique_for_overwrite<char[]>(input_size_);
}

RequestContext& ConnectionMemory::begin_request() {
  if (policy_ == MemoryPolicy::fresh) {
    context_.reset();  // before the next one is made: its memory can be used for it
    make_context();
  } else {
    context_->reset();
  }
  return *context_;
}

void ConnectionMemory::make_context() {
  context_ = std::make_unique<RequestContext>(
      stop_, std::span(output_.get() + output_size, scratch_size),
      kept_blocks_ ? &*kept_blocks_ : std::pmr::new_delete_resource());
}

}  // namespace spawnpool
