#include "harness/load/histogram.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <stdexcept>

namespace spawnpool::load {
namespace {

Histogram up_to(std::uint64_t highest) {
  Histogram histogram;
  for (std::uint64_t value = 1; value <= highest; ++value) {
    EXPECT_TRUE(histogram.record(value));
  }
  return histogram;
}

// Values over the whole range, the counts from one byte of encoding to nine.
Histogram spread() {
  Histogram histogram;
  std::uint64_t count = 1;
  for (std::uint64_t value = 0; value <= Histogram::highest_trackable_us;
       value = value * 5 / 4 + 1) {
    EXPECT_TRUE(histogram.record(value, count));
    count = count < std::uint64_t{1} << 56U ? count * 2 : 1;
  }
  return histogram;
}

TEST(Histogram, FindsQuantilesByNearestRank) {
  const Histogram histogram = up_to(100);
  EXPECT_EQ(histogram.value_at_quantile(0), 1);
  EXPECT_EQ(histogram.value_at_quantile(0.001), 1);
  EXPECT_EQ(histogram.value_at_quantile(0.07), 7);
  EXPECT_EQ(histogram.value_at_quantile(0.5), 50);
  EXPECT_EQ(histogram.value_at_quantile(0.501), 51);
  EXPECT_EQ(histogram.value_at_quantile(0.99), 99);
  EXPECT_EQ(histogram.value_at_quantile(1), 100);
  EXPECT_EQ(histogram.min(), 1);
  EXPECT_EQ(histogram.max(), 100);
  EXPECT_DOUBLE_EQ(histogram.mean(), 50.5);
}

// The expected numbers are those of HdrHistogram 2.1.11 for Java.
TEST(Histogram, AgreesWithTheReferenceOnRoundedValues) {
  const Histogram histogram = up_to(1'000'000);
  EXPECT_EQ(histogram.value_at_quantile(0.5), 500'223);
  EXPECT_EQ(histogram.value_at_quantile(0.9), 900'095);
  EXPECT_EQ(histogram.value_at_quantile(0.99), 990'207);
  EXPECT_EQ(histogram.value_at_quantile(0.999), 999'423);
  EXPECT_EQ(histogram.value_at_quantile(1), 1'000'447);
  EXPECT_NEAR(histogram.mean(), 500'001.013504, 1e-6);
}

TEST(Histogram, KeepsThreeDigitsOverTheWholeRange) {
  for (std::uint64_t value = 1; value <= Histogram::highest_trackable_us;
       value = value * 7 / 5 + 1) {
    Histogram histogram;
    ASSERT_TRUE(histogram.record(value));
    EXPECT_LE(histogram.min(), value);
    EXPECT_GE(histogram.max(), value);
    EXPECT_LE(histogram.max() - histogram.min(), value / 1000);
  }
}

TEST(Histogram, RefusesWhatItCannotHold) {
  Histogram histogram;
  EXPECT_TRUE(histogram.record(Histogram::highest_trackable_us));
  EXPECT_FALSE(histogram.record(Histogram::highest_trackable_us + 1));
  EXPECT_FALSE(histogram.record(std::numeric_limits<std::uint64_t>::max()));
  EXPECT_EQ(histogram.count(), 1);

  EXPECT_FALSE(histogram.record(1, std::numeric_limits<std::int64_t>::max()));
  EXPECT_TRUE(histogram.record(1, std::numeric_limits<std::int64_t>::max() - 1));
  EXPECT_FALSE(histogram.record(1));
  const Histogram full = histogram;
  EXPECT_THROW(histogram.merge(full), std::overflow_error);
  EXPECT_EQ(histogram, full);
}

TEST(Histogram, HasNoStatisticsWhenEmpty) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0);
  EXPECT_THROW(static_cast<void>(histogram.mean()), std::logic_error);
  EXPECT_THROW(static_cast<void>(histogram.min()), std::logic_error);
  EXPECT_THROW(static_cast<void>(histogram.max()), std::logic_error);
  EXPECT_THROW(static_cast<void>(histogram.value_at_quantile(0.5)), std::logic_error);
}

TEST(Histogram, RefusesAQuantileOutsideItsRange) {
  const Histogram histogram = up_to(1);
  for (const double q : {-0.1, 1.1, std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_THROW(static_cast<void>(histogram.value_at_quantile(q)), std::invalid_argument);
  }
}

TEST(Histogram, MergesAsIfRecordedTogether) {
  Histogram merged = up_to(3000);
  merged.merge(spread());
  Histogram together = spread();
  for (std::uint64_t value = 1; value <= 3000; ++value) {
    ASSERT_TRUE(together.record(value));
  }
  EXPECT_EQ(merged, together);
  EXPECT_EQ(merged.count(), up_to(3000).count() + spread().count());
}

TEST(Histogram, IsReadBackFromItsEncoding) {
  for (const Histogram& histogram : {Histogram(), up_to(1), up_to(5000), spread()}) {
    const std::string text = histogram.encode();
    EXPECT_TRUE(text.starts_with("HISTFAAAA")) << text;
    EXPECT_EQ(Histogram::decode(text), histogram);
  }
}

// Encoded by HdrHistogram 2.1.11 for Java, new Histogram(1, 3600000000L, 3).
TEST(Histogram, ReadsTheReferenceImplementation) {
  Histogram expected;
  for (const auto& [value, count] :
       std::initializer_list<std::pair<std::uint64_t, std::uint64_t>>{{0, 1},
                                                                      {1, 2},
                                                                      {250, 100},
                                                                      {251, 63},
                                                                      {252, 64},
                                                                      {2047, 8191},
                                                                      {2048, 8192},
                                                                      {2050, 7},
                                                                      {123'456, 1'000'000},
                                                                      {5'000'000, 3'000'000'000},
                                                                      {3'600'000'000, 1}}) {
    ASSERT_TRUE(expected.record(value, count));
  }
  const auto decoded = Histogram::decode(
      "HISTFAAAAEJ4nJNpmSzMwMCgyAABzFCaEURcm7yEwf4DRICJ5T3zCca6BsZmmX/"
      "1DQ2MfL1xDZ1Vn0MafjStFbs7nZEJAMrQ"
      "Enw=");
  ASSERT_TRUE(decoded);
  EXPECT_EQ(*decoded, expected);
  EXPECT_EQ(decoded->count(), 3'001'016'621);
  EXPECT_NEAR(decoded->mean(), 4'997'516.846936881, 1e-6);
  EXPECT_EQ(decoded->min(), 0);
  EXPECT_EQ(decoded->value_at_quantile(0.5), 5'001'215);
  EXPECT_EQ(decoded->max(), 3'600'809'983);
}

// By the same, with other settings: a higher bound moves no bucket, the others do.
TEST(Histogram, ReadsOnlyWhatFitsIts) {
  const auto higher_bound =
      Histogram::decode("HISTFAAAACV4nJNpmSzMwMDAwgABzFCaEYiZQrifMNh/gAg8f8XEBABddAWY");
  ASSERT_TRUE(higher_bound);
  EXPECT_EQ(higher_bound->max(), 3'600'809'983);
  for (const char* text :
       {"HISTFAAAACF4nJNpmSzMwMDAxAABMJoRRFybvITB/gNEgJMJAFonBJM=",      // two digits
        "HISTFAAAACJ4nJNpmSzMwMDAxAABzFDqBYi8NnkJg/0HiIggEwBrswWG",      // milliseconds
        "HISTFAAAACV4nJNpmSzMwMDAwgABzFCaEYiZQrifMNh/gAh8fMXEBABdnAWi",  // a value of 3610 s
        "HISTEwAAAAEAAAAAAAAAAwAAAAAAAAABAAAAANaTpAA/8AAAAAAAAAA="}) {   // not compressed
    EXPECT_EQ(Histogram::decode(text), std::nullopt) << text;
  }
}

TEST(Histogram, RefusesGarbage) {
  const std::string good = up_to(5000).encode();
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_EQ(Histogram::decode(good.substr(0, size)), std::nullopt) << size;
  }
  EXPECT_EQ(Histogram::decode(good + "AAAA"), std::nullopt);
  EXPECT_EQ(Histogram::decode("===="), std::nullopt);
  EXPECT_EQ(Histogram::decode("HISTFAAAA"), std::nullopt);
  EXPECT_EQ(Histogram::decode(" " + good), std::nullopt);
  EXPECT_EQ(Histogram::decode("HISTFAAAA\n=="), std::nullopt);

  // The deflated part carries a checksum: no changed digit may pass for other counts.
  const Histogram original = up_to(5000);
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    std::string text = good;
    text[random() % text.size()] = static_cast<char>(random() % 256);
    const auto decoded = Histogram::decode(text);
    EXPECT_TRUE(!decoded || *decoded == original) << text;
  }
}

}  // namespace
}  // namespace spawnpool::load
