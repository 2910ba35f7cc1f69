// The programmed delays and stalls of the delay server, apart from its sockets.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>

namespace spawnpool::load::testing {

// Draws one delay per request, in nanoseconds; the same sequence for the same seed.
class Delays {
 public:
  enum class Kind { constant, two_valued, exponential };

  struct Options {
    Kind kind = Kind::constant;
    std::int64_t delay_ns = 0;  // the constant, the common one of two, or the mean
    std::int64_t other_ns = 0;  // the rarer one of two
    double other_share = 0;     // of the requests that get it, 0 to 1
    std::uint64_t seed = 0;
  };

  explicit Delays(const Options& options) : options_(options), random_(options.seed) {}

  std::int64_t next() {
    switch (options_.kind) {
      case Kind::two_valued:
        return uniform_(random_) < options_.other_share ? options_.other_ns : options_.delay_ns;
      case Kind::exponential:
        return std::llround(-std::log1p(-uniform_(random_)) *
                            static_cast<double>(options_.delay_ns));
      case Kind::constant:
        break;
    }
    return options_.delay_ns;
  }

 private:
  Options options_;
  std::mt19937_64 random_;
  std::uniform_real_distribution<double> uniform_{0.0, 1.0};
};

// The last `length` of every `period` since `start` is a stall: what falls into it waits for its
// end. A length of 0 stalls nothing.
struct Stalls {
  std::int64_t start_ns = 0;
  std::int64_t length_ns = 0;
  std::int64_t period_ns = 0;

  // When an answer that is due at `at` goes out. Never decreases as `at` grows.
  std::int64_t release(std::int64_t at) const {
    if (length_ns == 0 || at < start_ns) {
      return at;
    }
    const std::int64_t into = (at - start_ns) % period_ns;
    return into < period_ns - length_ns ? at : at + (period_ns - into);
  }
};

}  // namespace spawnpool::load::testing
