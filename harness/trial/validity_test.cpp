#include "harness/trial/validity.hpp"

#include <gtest/gtest.h>

namespace spawnpool::trial {
namespace {

using Codes = std::vector<std::string>;

Codes codes(const LoadQuality& quality, const Circumstances& circumstances) {
  Codes codes;
  for (const Reason& reason : doubts(quality, circumstances)) {
    codes.push_back(reason.code);
  }
  return codes;
}

LoadQuality closed_loop(double busy) {
  LoadQuality quality;
  quality.generator_busy = busy;
  return quality;
}

LoadQuality open_loop(const RateQuality& rate) {
  LoadQuality quality;
  quality.rate = rate;
  return quality;
}

TEST(Doubts, NameAGeneratorThatWasTheLimit) {
  EXPECT_EQ(codes(closed_loop(0.97), {.server_idle = 0.11}), Codes{"generator-bound"});
  EXPECT_EQ(doubts(closed_loop(0.98), {.server_idle = 0.5}).at(0).message,
            "the generator was busy for 98 % of its time, the server's cores idle for 50 %: the "
            "generator was the limit");
  EXPECT_TRUE(doubts(closed_loop(0.96), {.server_idle = 0.5}).empty());
  EXPECT_TRUE(doubts(closed_loop(0.99), {.server_idle = 0.10}).empty());
  EXPECT_TRUE(doubts(closed_loop(0.99), {.server_idle = 0.5, .shared_core = true}).empty());
  EXPECT_TRUE(doubts(closed_loop(0.99), {.server_idle = 0.5, .shut_down = true}).empty());
}

TEST(Doubts, NameTooManyErrors) {
  LoadQuality quality;
  quality.error_share = 0.001;
  EXPECT_TRUE(doubts(quality, {.error_share_limit = 0.001}).empty());
  EXPECT_EQ(codes(quality, {.error_share_limit = 0.0009}), Codes{"error-share"});
  EXPECT_TRUE(doubts(quality, {.error_share_limit = 0.0009, .shut_down = true}).empty());
}

TEST(Doubts, NameABackgroundThatIsNotWhole) {
  LoadQuality quality;
  quality.background_missed = "3 of 9 background clients were not connected when the load began";
  EXPECT_EQ(codes(quality, {}), Codes{"background-missed"});
}

TEST(Doubts, NameALostConnectionHoweverRare) {
  LoadQuality quality;
  quality.lost_connections = 1;
  EXPECT_EQ(codes(quality, {.error_share_limit = 0.001}), Codes{"error-share"});
}

TEST(Doubts, JudgeAnOpenLoopByWhatItsGeneratorHadLeft) {
  const auto busy = [](double share) {
    LoadQuality quality = open_loop({});
    quality.generator_busy = share;
    return quality;
  };
  EXPECT_TRUE(doubts(busy(0.96), {}).empty());
  EXPECT_EQ(codes(busy(0.97), {}), Codes{"generator-bound"});
  EXPECT_TRUE(doubts(busy(0.97), {.shared_core = true}).empty());
}

TEST(Doubts, JudgeAnOpenLoopByItsLag) {
  const auto lag = [](double us) { return open_loop({.send_lag_us = us}); };
  EXPECT_TRUE(doubts(lag(1000), {}).empty());
  EXPECT_EQ(codes(lag(1001), {}), Codes{"generator-bound"});
  EXPECT_EQ(codes(lag(1001), {.shared_core = true}), Codes{"generator-bound"});
  EXPECT_EQ(doubts(lag(2500.4), {}).at(0).message,
            "the generator sent its requests up to 2500 us late (p99), allowed are 1000 us");
}

TEST(Doubts, NameARateThatWasMissed) {
  const auto sent = [](std::uint64_t count) {
    return open_loop({.intended = 1000, .sent = count});
  };
  EXPECT_TRUE(doubts(sent(990), {}).empty());
  EXPECT_EQ(codes(sent(989), {}), Codes{"rate-missed"});
  EXPECT_TRUE(doubts(sent(500), {.shut_down = true}).empty());
  EXPECT_TRUE(doubts(open_loop({}), {}).empty());
}

TEST(Disturbances, NameWhatOthersTookAboveTheLimits) {
  MachineResult machine;
  machine.foreign_cpu_share = 0.0712;
  machine.steal_share = 0.031;
  EXPECT_TRUE(disturbances(machine, {}).empty()) << "none is asked for";
  EXPECT_TRUE(disturbances(machine, {.foreign_cpu_share = 0.0712, .steal_share = 0.031}).empty());
  const std::vector<Reason> both =
      disturbances(machine, {.foreign_cpu_share = 0.05, .steal_share = 0.0});
  ASSERT_EQ(both.size(), 2U);
  EXPECT_EQ(both[0].code, "foreign-cpu");
  EXPECT_EQ(both[0].message,
            "other work on the machine took 7.12 % of the cores' time "
            "(machine.foreign_cpu_share), allowed are 5.00 % (limits.foreign_cpu_share)");
  EXPECT_EQ(both[1].code, "steal");
  EXPECT_EQ(both[1].message,
            "the hypervisor took 3.10 % of the cores' time (machine.steal_share), allowed are "
            "0.00 % (limits.steal_share)");

  machine.foreign_cpu_share = Unmeasured{"the target's own share is not known"};
  EXPECT_EQ(disturbances(machine, {.foreign_cpu_share = 0.0, .steal_share = 0.0}).size(), 1U);
}

}  // namespace
}  // namespace spawnpool::trial
