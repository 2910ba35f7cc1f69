#include "servers/core/address_limit.hpp"

#include <new>
#include <string_view>

namespace spawnpool {

std::size_t AddressLimit::Hash::operator()(const PeerAddress& address) const {
  return std::hash<std::string_view>()(
      {reinterpret_cast<const char*>(address.data()), address.size()});
}

bool AddressLimit::acquire(const PeerAddress& address) noexcept try {
  const std::lock_guard lock(mutex_);
  std::size_t& count = counts_[address];
  if (count == max_) {
    return false;
  }
  ++count;
  return true;
} catch (const std::bad_alloc&) {
  return false;
}

void AddressLimit::release(const PeerAddress& address) {
  const std::lock_guard lock(mutex_);
  const auto found = counts_.find(address);
  if (--found->second == 0) {
    counts_.erase(found);
  }
}

}  // namespace spawnpool
