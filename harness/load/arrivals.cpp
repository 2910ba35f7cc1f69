#include "harness/load/arrivals.hpp"

namespace spawnpool::load {

ArrivalSequence::ArrivalSequence(const OpenLoop& loop, unsigned share, unsigned shares)
    : loop_(loop),
      share_(share),
      shares_(shares),
      burst_share_(loop.burst / shares + (share < loop.burst % shares ? 1 : 0)),
      // Seeds one apart give unrelated sequences only after mixing, which seed_seq does.
      random_([&] {
        std::seed_seq mixed{static_cast<std::uint32_t>(loop.seed),
                            static_cast<std::uint32_t>(loop.seed >> 32U), share};
        return std::mt19937_64(mixed);
      }()),
      gap_ns_(loop.rate / shares / 1e9) {}

nanoseconds ArrivalSequence::next() {
  if (loop_.burst > 0) {
    if (burst_share_ == 0) {
      return nanoseconds::max();
    }
    return loop_.burst_every * static_cast<std::int64_t>(count_++ / burst_share_);
  }
  if (loop_.arrivals == Arrivals::uniform) {
    // Not summed up: the gap is no whole number of nanoseconds, and its error would grow.
    const auto position = static_cast<double>(count_++ * shares_ + share_);
    return nanoseconds(static_cast<std::int64_t>(position * 1e9 / loop_.rate));
  }
  due_ns_ += gap_ns_(random_);
  return nanoseconds(static_cast<std::int64_t>(due_ns_));
}

}  // namespace spawnpool::load
