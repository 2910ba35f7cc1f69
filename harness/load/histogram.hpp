// Latency histogram that other tools can read: HdrHistogram's bucket layout and its "V2 compressed"
// encoding (https://github.com/HdrHistogram/HdrHistogram), with the settings of this project.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spawnpool::load {

// Counts of values in microseconds, 0 up to highest_trackable_us, kept to 3 significant decimal
// digits in 184 KiB whatever is recorded. Not synchronised: one histogram per thread, merged at the
// end.
//
// What is read back is a bucket's bound, as in HdrHistogram: values below 2048 us are exact, others
// are within 0.1 %. The statistics of an empty histogram do not exist: they throw std::logic_error.
class Histogram {
 public:
  static constexpr std::uint64_t lowest_discernible_us = 1;
  static constexpr std::uint64_t highest_trackable_us = 3'600'000'000;  // 1 h
  static constexpr int significant_digits = 3;

  Histogram();

  // Records a value `count` times. Returns false, and records nothing, for a value above
  // highest_trackable_us (it is the caller's to report), or when count() would pass 2^63 - 1.
  [[nodiscard]] bool record(std::uint64_t value_us, std::uint64_t count = 1);

  // Adds what `other` holds. Throws std::overflow_error, changing nothing, when count() would pass
  // 2^63 - 1.
  void merge(const Histogram& other);

  [[nodiscard]] std::uint64_t count() const { return total_; }
  [[nodiscard]] double mean() const;        // of the buckets' middles
  [[nodiscard]] std::uint64_t min() const;  // lowest value of the first bucket in use
  [[nodiscard]] std::uint64_t max() const;  // highest value of the last bucket in use

  // The nearest-rank quantile: the highest value of the bucket that holds the ceil(q * count())-th
  // value, counted from 1 in ascending order; q = 0 gives min(). Same rule as HdrHistogram's
  // getValueAtPercentile(100 * q). Throws std::invalid_argument for q outside 0 to 1.
  [[nodiscard]] std::uint64_t value_at_quantile(double q) const;

  // HdrHistogram V2, deflated, in base64: "HISTFAAAA...".
  [[nodiscard]] std::string encode() const;

  // Reads encode()'s form, from this or any other implementation. Nothing for any other text, for a
  // histogram of other units or digits, and for one that holds values above highest_trackable_us.
  static std::optional<Histogram> decode(std::string_view text);

  // Same counts in every bucket.
  friend bool operator==(const Histogram&, const Histogram&) = default;

 private:
  void require_values() const;

  std::vector<std::uint64_t> counts_;
  std::uint64_t total_ = 0;
};

}  // namespace spawnpool::load
