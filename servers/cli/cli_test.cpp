#include "servers/cli/cli.hpp"

#include <gtest/gtest.h>

namespace spawnpool::cli {
namespace {

using namespace std::chrono_literals;

TEST(ParseDuration, TakesEveryUnit) {
  EXPECT_EQ(parse_duration("7us"), 7us);
  EXPECT_EQ(parse_duration("250ms"), 250ms);
  EXPECT_EQ(parse_duration("10s"), 10s);
  EXPECT_EQ(parse_duration("2m"), 2min);
  EXPECT_EQ(parse_duration("1h"), 1h);
  EXPECT_EQ(parse_duration("0s"), 0s);
}

TEST(ParseDuration, RefusesEverythingElse) {
  for (const char* text : {"", "10", "s", "-1s", "+1s", " 1s", "1 s", "1s ", "1.5s", "1d", "0x1s",
                           "9999999999999999999s", "9223372037s", "99999999999999999999999h"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(FormatDuration, IsReadBackAsTheSame) {
  for (const auto value :
       std::initializer_list<std::chrono::nanoseconds>{0s, 7us, 1500ms, 10s, 120s, 3h}) {
    EXPECT_EQ(parse_duration(format_duration(value)), value);
  }
}

TEST(Parse, EndsWithTwoOnAUsageError) {
  CLI::App app("", "prog");
  std::chrono::nanoseconds wait = 5s;
  add_duration(app, "--wait", wait, "how long");
  const char* bad[] = {"prog", "--wait", "soon"};
  EXPECT_EQ(parse(app, 3, bad), exit_usage);
}

TEST(Parse, EndsWithTwoOnAnUnknownOption) {
  CLI::App app("", "prog");
  const char* bad[] = {"prog", "--nope"};
  EXPECT_EQ(parse(app, 2, bad), exit_usage);
}

TEST(Parse, StoresADuration) {
  CLI::App app("", "prog");
  std::chrono::nanoseconds wait = 5s;
  add_duration(app, "--wait", wait, "how long");
  const char* good[] = {"prog", "--wait", "250ms"};
  EXPECT_EQ(parse(app, 3, good), std::nullopt);
  EXPECT_EQ(wait, 250ms);
}

}  // namespace
}  // namespace spawnpool::cli
