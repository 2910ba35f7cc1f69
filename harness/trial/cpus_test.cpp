#include "harness/trial/cpus.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "servers/cli/cli.hpp"

namespace spawnpool::trial {
namespace {

using List = std::vector<int>;

// Two hardware threads per core: 0 and 4, 1 and 5, ...
List four_cores_of_two(int cpu) {
  return {cpu % 4, cpu % 4 + 4};
}

TEST(ChooseCpus, TakesTwoCores) {
  const Cpus cpus = choose_cpus({}, {0, 1, 4, 5}, four_cores_of_two);
  EXPECT_EQ(cpus.server, List{0});
  EXPECT_EQ(cpus.generator, List{1});
  EXPECT_FALSE(cpus.shared);
}

TEST(ChooseCpus, SkipsTheSibling) {
  const Cpus cpus = choose_cpus({}, {0, 4, 6}, four_cores_of_two);
  EXPECT_EQ(cpus.server, List{0});
  EXPECT_EQ(cpus.generator, List{6});
  EXPECT_FALSE(cpus.shared);
}

TEST(ChooseCpus, SaysWhenThereIsOneCoreOnly) {
  const Cpus one = choose_cpus({}, {3}, four_cores_of_two);
  EXPECT_EQ(one.server, List{3});
  EXPECT_EQ(one.generator, List{3});
  EXPECT_TRUE(one.shared);

  const Cpus siblings = choose_cpus({}, {3, 7}, four_cores_of_two);
  EXPECT_EQ(siblings.server, List{3});
  EXPECT_EQ(siblings.generator, List{7});
  EXPECT_TRUE(siblings.shared);
}

TEST(ChooseCpus, TakesAWishAsItIs) {
  const Cpus apart = choose_cpus(CpusSpec{{1, 2}, {3}}, {0, 1, 2, 3}, four_cores_of_two);
  EXPECT_EQ(apart.server, (List{1, 2}));
  EXPECT_EQ(apart.generator, List{3});
  EXPECT_FALSE(apart.shared);
  EXPECT_TRUE(choose_cpus(CpusSpec{{1, 2}, {6}}, {1, 2, 6}, four_cores_of_two).shared);
}

TEST(ChooseCpus, RefusesAWishOutsideTheMask) {
  EXPECT_THROW(choose_cpus(CpusSpec{{1}, {9}}, {0, 1}, four_cores_of_two), cli::UsageError);
}

TEST(BystanderCpus, AreOnCoresOfTheirOwn) {
  const Cpus taken{.server = {0}, .generator = {1}};
  EXPECT_EQ(bystander_cpus(taken, {0, 1, 2, 4, 5, 6}, four_cores_of_two), (List{2, 6}));
  EXPECT_EQ(bystander_cpus(taken, {0, 1, 4, 5}, four_cores_of_two), List{1});
}

TEST(SmtSiblings, HoldsTheCpuItself) {
  for (const int cpu : affinity_mask()) {
    const List siblings = smt_siblings(cpu);
    EXPECT_NE(std::find(siblings.begin(), siblings.end(), cpu), siblings.end());
  }
  EXPECT_EQ(smt_siblings(1000000), List{1000000});
}

TEST(PinSelf, NarrowsTheMask) {
  const List before = affinity_mask();
  pin_self({before.back()});
  EXPECT_EQ(affinity_mask(), List{before.back()});
  pin_self(before);
}

}  // namespace
}  // namespace spawnpool::trial
