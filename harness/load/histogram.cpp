#include "harness/load/histogram.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <span>
#include <stdexcept>

namespace spawnpool::load {
namespace {

// HdrHistogram's layout for 3 digits and a unit of 1: bucket b holds 2048 (b = 0) or the upper 1024
// (b > 0) of 2048 sub-buckets, each 2^b wide, so that a sub-bucket is never wider than 1/1000 of
// its values.
constexpr int half_count_bits = 10;
constexpr std::uint64_t half_count = 1U << half_count_bits;
constexpr std::uint64_t sub_bucket_mask = 2 * half_count - 1;

constexpr std::size_t index_of(std::uint64_t value) {
  const auto width = static_cast<int>(std::bit_width(value | sub_bucket_mask));
  const int bucket = width - (half_count_bits + 1);
  const std::uint64_t sub_bucket = value >> bucket;
  return (static_cast<std::size_t>(bucket) << half_count_bits) + sub_bucket;
}

constexpr int bucket_of(std::size_t index) {
  return index < 2 * half_count ? 0 : static_cast<int>(index >> half_count_bits) - 1;
}

constexpr std::uint64_t width_at(std::size_t index) {
  return std::uint64_t{1} << bucket_of(index);
}

constexpr std::uint64_t lowest_at(std::size_t index) {
  const int bucket = bucket_of(index);
  const std::size_t sub_bucket = index - (static_cast<std::size_t>(bucket) << half_count_bits);
  return std::uint64_t{sub_bucket} << bucket;
}

constexpr std::uint64_t highest_at(std::size_t index) {
  return lowest_at(index) + width_at(index) - 1;
}

constexpr std::size_t bucket_total = index_of(Histogram::highest_trackable_us) + 1;
constexpr std::uint64_t count_limit = std::numeric_limits<std::int64_t>::max();

// The encoding, all numbers big-endian. Outer: cookie, length, deflated inner. Inner: cookie,
// length of the counts, index offset, digits, lowest, highest, conversion ratio, counts.
constexpr std::uint32_t inner_cookie = 0x1c849303 | 0x10;
constexpr std::uint32_t outer_cookie = 0x1c849304 | 0x10;
constexpr std::size_t inner_header_size = 40;
constexpr std::size_t outer_header_size = 8;
constexpr std::size_t longest_count = 9;

using Bytes = std::vector<std::uint8_t>;

template <typename Unsigned>
void put(Bytes& out, Unsigned value) {
  for (int shift = std::numeric_limits<Unsigned>::digits - 8; shift >= 0; shift -= 8) {
    out.push_back(static_cast<std::uint8_t>(value >> shift));
  }
}

// Takes a number off the front; the caller has checked that it is there.
template <typename Unsigned>
Unsigned take(std::span<const std::uint8_t>& in) {
  Unsigned value = 0;
  for (std::size_t i = 0; i < sizeof(Unsigned); ++i) {
    value = static_cast<Unsigned>(value << 8U) | in[i];
  }
  in = in.subspan(sizeof(Unsigned));
  return value;
}

// ZigZag LEB128 of 64 bits in at most 9 bytes: the ninth carries 8 bits and no continuation.
void put_zigzag(Bytes& out, std::int64_t value) {
  auto rest = (static_cast<std::uint64_t>(value) << 1U) ^ static_cast<std::uint64_t>(value >> 63);
  for (std::size_t i = 1; i < longest_count && rest >= 0x80; ++i) {
    out.push_back(static_cast<std::uint8_t>(rest | 0x80U));
    rest >>= 7U;
  }
  out.push_back(static_cast<std::uint8_t>(rest));
}

std::optional<std::int64_t> take_zigzag(std::span<const std::uint8_t>& in) {
  std::uint64_t raw = 0;
  for (std::size_t i = 0; i < longest_count; ++i) {
    if (in.empty()) {
      return std::nullopt;
    }
    const std::uint64_t byte = in.front();
    in = in.subspan(1);
    const bool last = i + 1 == longest_count || byte < 0x80;
    raw |= (i + 1 == longest_count ? byte : byte & 0x7fU) << (7 * i);
    if (last) {
      break;
    }
  }
  return static_cast<std::int64_t>((raw >> 1U) ^ (~(raw & 1U) + 1));
}

constexpr std::string_view base64_digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string to_base64(std::span<const std::uint8_t> bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (; !bytes.empty(); bytes = bytes.subspan(std::min<std::size_t>(3, bytes.size()))) {
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      group = (group << 8U) | (i < bytes.size() ? bytes[i] : 0U);
    }
    for (std::size_t i = 0; i < 4; ++i) {
      text += i <= bytes.size() ? base64_digits[(group >> (18 - 6 * i)) & 0x3fU] : '=';
    }
  }
  return text;
}

std::optional<Bytes> from_base64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) {
    return std::nullopt;
  }
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  text.remove_suffix(padding);
  Bytes bytes;
  std::uint32_t group = 0;
  int bits = 0;
  for (const char digit : text) {
    const std::size_t value = base64_digits.find(digit);
    if (value == std::string_view::npos) {
      return std::nullopt;
    }
    group = (group << 6U) | static_cast<std::uint32_t>(value);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes.push_back(static_cast<std::uint8_t>(group >> bits));
    }
  }
  return bytes;
}

std::optional<Bytes> inflate_inner(std::span<const std::uint8_t> deflated) {
  Bytes inner(inner_header_size + longest_count * bucket_total);
  uLongf size = inner.size();
  if (uncompress(inner.data(), &size, deflated.data(), deflated.size()) != Z_OK) {
    return std::nullopt;
  }
  inner.resize(size);
  return inner;
}

// Whether the inner header announces this project's settings and as many bytes of counts as follow
// it. The highest trackable value may differ: it does not move the buckets.
bool take_inner_header(std::span<const std::uint8_t>& in) {
  if (in.size() < inner_header_size) {
    return false;
  }
  const auto cookie = take<std::uint32_t>(in);
  const auto counts_size = take<std::uint32_t>(in);
  const auto index_offset = take<std::uint32_t>(in);
  const auto digits = take<std::uint32_t>(in);
  const auto lowest = take<std::uint64_t>(in);
  take<std::uint64_t>(in);
  const auto ratio = std::bit_cast<double>(take<std::uint64_t>(in));
  return cookie == inner_cookie && counts_size == in.size() && index_offset == 0 &&
         digits == Histogram::significant_digits && lowest == Histogram::lowest_discernible_us &&
         ratio == 1.0;
}

}  // namespace

Histogram::Histogram() : counts_(bucket_total) {}

bool Histogram::record(std::uint64_t value_us, std::uint64_t count) {
  if (value_us > highest_trackable_us || count > count_limit - total_) {
    return false;
  }
  counts_[index_of(value_us)] += count;
  total_ += count;
  return true;
}

void Histogram::merge(const Histogram& other) {
  if (other.total_ > count_limit - total_) {
    throw std::overflow_error("a histogram cannot hold more than 2^63 - 1 values");
  }
  for (std::size_t i = 0; i < bucket_total; ++i) {
    counts_[i] += other.counts_[i];
  }
  total_ += other.total_;
}

void Histogram::require_values() const {
  if (total_ == 0) {
    throw std::logic_error("an empty histogram has no statistics: look at count() first");
  }
}

double Histogram::mean() const {
  require_values();
  double sum = 0;
  for (std::size_t i = 0; i < bucket_total; ++i) {
    const std::uint64_t middle = lowest_at(i) + width_at(i) / 2;
    sum += static_cast<double>(counts_[i]) * static_cast<double>(middle);
  }
  return sum / static_cast<double>(total_);
}

std::uint64_t Histogram::min() const {
  require_values();
  const auto first = std::find_if(counts_.begin(), counts_.end(), [](auto n) { return n != 0; });
  return lowest_at(static_cast<std::size_t>(first - counts_.begin()));
}

std::uint64_t Histogram::max() const {
  require_values();
  const auto last = std::find_if(counts_.rbegin(), counts_.rend(), [](auto n) { return n != 0; });
  return highest_at(static_cast<std::size_t>(counts_.rend() - last) - 1);
}

std::uint64_t Histogram::value_at_quantile(double q) const {
  if (!(q >= 0 && q <= 1)) {
    throw std::invalid_argument("a quantile lies between 0 and 1");
  }
  require_values();
  if (q == 0) {
    return min();
  }
  // One step towards 0, as HdrHistogram does: 0.07 * 100 is 7.000000000000001 in binary, which
  // would ask for the eighth value.
  const double position = std::nextafter(q, 0.0) * static_cast<double>(total_);
  const auto rank = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(position)));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < bucket_total; ++i) {
    seen += counts_[i];
    if (seen >= rank) {
      return highest_at(i);
    }
  }
  return max();
}

std::string Histogram::encode() const {
  Bytes counts;
  const std::size_t used = total_ == 0 ? 1 : index_of(max()) + 1;
  for (std::size_t i = 0; i < used;) {
    std::int64_t zeros = 0;
    for (; i < used && counts_[i] == 0; ++i) {
      ++zeros;
    }
    if (zeros > 0) {
      put_zigzag(counts, zeros > 1 ? -zeros : 0);  // a run of zeros is its negated length
    } else {
      put_zigzag(counts, static_cast<std::int64_t>(counts_[i++]));
    }
  }

  Bytes inner;
  put(inner, inner_cookie);
  put(inner, static_cast<std::uint32_t>(counts.size()));
  put(inner, std::uint32_t{0});
  put(inner, static_cast<std::uint32_t>(significant_digits));
  put(inner, lowest_discernible_us);
  put(inner, highest_trackable_us);
  put(inner, std::bit_cast<std::uint64_t>(1.0));
  inner.insert(inner.end(), counts.begin(), counts.end());

  uLongf size = compressBound(inner.size());
  Bytes deflated(size);
  if (compress(deflated.data(), &size, inner.data(), inner.size()) != Z_OK) {
    throw std::bad_alloc();  // the only failure of compress() into a buffer of its own bound
  }
  Bytes outer;
  put(outer, outer_cookie);
  put(outer, static_cast<std::uint32_t>(size));
  outer.insert(outer.end(), deflated.begin(), deflated.begin() + static_cast<std::ptrdiff_t>(size));
  return to_base64(outer);
}

std::optional<Histogram> Histogram::decode(std::string_view text) {
  const auto outer = from_base64(text);
  if (!outer || outer->size() < outer_header_size) {
    return std::nullopt;
  }
  std::span<const std::uint8_t> rest(*outer);
  const auto cookie = take<std::uint32_t>(rest);
  const auto size = take<std::uint32_t>(rest);
  if (cookie != outer_cookie || size != rest.size()) {
    return std::nullopt;
  }
  const auto inner = inflate_inner(rest);
  if (!inner) {
    return std::nullopt;
  }
  rest = *inner;
  if (!take_inner_header(rest)) {
    return std::nullopt;
  }
  Histogram histogram;
  for (std::size_t i = 0; !rest.empty();) {
    const auto entry = take_zigzag(rest);
    if (!entry || i >= bucket_total) {
      return std::nullopt;
    }
    if (*entry > 0) {
      if (!histogram.record(lowest_at(i), static_cast<std::uint64_t>(*entry))) {
        return std::nullopt;
      }
      ++i;
    } else {
      const auto zeros = std::max<std::uint64_t>(1, ~static_cast<std::uint64_t>(*entry) + 1);
      if (zeros > bucket_total - i) {
        return std::nullopt;
      }
      i += zeros;
    }
  }
  return histogram;
}

}  // namespace spawnpool::load
