// Bounds the connections of one client address.
#pragma once

#include <cstddef>
#include <memory_resource>
#include <mutex>
#include <unordered_map>

#include "servers/core/socket.hpp"

namespace spawnpool {

// Thread-safe. Its memory is kept and used again, so that a steady stream of connections does not
// allocate.
class AddressLimit {
 public:
  explicit AddressLimit(std::size_t max_per_address) : max_(max_per_address) {}

  // Counts a connection of that address in; false when it has its share already, or when there is
  // no memory to count it.
  bool acquire(const PeerAddress& address) noexcept;

  // Counts out a connection that was counted in.
  void release(const PeerAddress& address);

 private:
  struct Hash {
    std::size_t operator()(const PeerAddress& address) const;
  };

  const std::size_t max_;
  std::mutex mutex_;
  std::pmr::unsynchronized_pool_resource memory_;
  std::pmr::unordered_map<PeerAddress, std::size_t, Hash> counts_{&memory_};
};

}  // namespace spawnpool
