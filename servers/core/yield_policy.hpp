// When a thread that would wait for its next request should first let the others run.
#pragma once

#include <cstdint>

namespace spawnpool {

// On a busy core the next request is there when the thread that yielded runs again, which saves
// putting it to sleep and waking it up. On an idle one nobody else runs, and the yield and the look
// after it are in vain. So a yield in vain is followed by 1, 3, 7, ... at most 63 waits without
// one. One object for each connection; not thread-safe.
class YieldPolicy {
 public:
  // Asked once before each wait.
  bool should_yield() {
    if (to_skip_ == 0) {
      return true;
    }
    --to_skip_;
    return false;
  }

  // After a yield: whether the request was there then.
  void learn(bool paid) {
    in_vain_ = static_cast<std::uint8_t>(paid                 ? 0
                                         : in_vain_ < longest ? 2 * in_vain_ + 1
                                                              : longest);
    to_skip_ = in_vain_;
  }

 private:
  static constexpr std::uint8_t longest = 63;

  std::uint8_t in_vain_ = 0;  // waits to skip after the last yield
  std::uint8_t to_skip_ = 0;  // of these, how many are to come
};

}  // namespace spawnpool
