// Allocations by phase, of servers that mark their phases.
#include "harness/cost/phases.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "harness/cost/counted_server.hpp"
#include "servers/cli/build_folder.hpp"
#include "servers/core/phase.hpp"

namespace spawnpool::cost {
namespace {

using testing::Client;
using testing::get_request;

TEST(Phases, HaveTheirNamesAndNumbersFromTheServers) {
  const std::vector<std::pair<Phase, std::string>> phases = {
      {Phase::none, "other"},    {Phase::accept, "accept"}, {Phase::hand_off, "hand_off"},
      {Phase::setup, "setup"},   {Phase::read, "read"},     {Phase::parse, "parse"},
      {Phase::handle, "handle"}, {Phase::write, "write"},   {Phase::close, "close"}};
  ASSERT_EQ(phases.size(), phase_count);
  for (const auto& [phase, name] : phases) {
    EXPECT_EQ(phase_names.at(static_cast<std::size_t>(phase)), name);
  }
}

using ByPhase = std::map<std::string, PhaseCounts>;

// What was allocated from `a` to `b`, without the phases in which nothing was.
ByPhase between(const AllocationCounts& a, const AllocationCounts& b) {
  ByPhase result;
  for (std::size_t i = 0; i < phase_count; ++i) {
    const PhaseCounts more{.allocations = b.by_phase[i].allocations - a.by_phase[i].allocations,
                           .bytes = b.by_phase[i].bytes - a.by_phase[i].bytes};
    if (more != PhaseCounts{}) {
      result[phase_names[i]] = more;
    }
  }
  return result;
}

// For Google Test's messages.
std::string text(const ByPhase& counts) {
  std::string result;
  for (const auto& [name, count] : counts) {
    result += name + ": " + std::to_string(count.allocations) + " of " +
              std::to_string(count.bytes) + " bytes; ";
  }
  return result;
}

TEST(Phases, HaveTheAllocationThatWasPutIntoOneOfThem) {
  const CountedServer server({cli::built("tests/injecting_server")});
  EXPECT_TRUE(server.counter().marks_phases());
  std::deque<Client> clients = server.clients(1);
  CountedServer::exchange(clients, {{get_request("/plaintext")}}, 5);
  const AllocationCounts before = server.counter().read();
  CountedServer::exchange(clients, {{get_request("/plaintext")}}, 100);
  const ByPhase found = between(before, server.counter().read());
  // A string of 64 characters, with its end.
  const ByPhase expected = {{"handle", {.allocations = 100, .bytes = 100 * 65}}};
  EXPECT_EQ(found, expected) << text(found);
}

// The thread of a connection begins with nothing, so that everything is made for it: in the phase
// in which it is needed.
TEST(Phases, TellWhatAConnectionAllocates) {
  const CountedServer server(
      {cli::built("bin/spawnpool-server"), "--model", "thread-per-connection"});
  const auto load = [&](int requests) {
    for (int i = 0; i < 10; ++i) {
      std::deque<Client> clients = server.clients(1);
      CountedServer::exchange(clients, {{get_request("/plaintext")}}, requests);
    }
    return server.counter().read();
  };
  const AllocationCounts warm = load(2);
  const AllocationCounts few = load(2);
  const AllocationCounts many = load(12);
  std::uint64_t allocations = 0;
  std::uint64_t bytes = 0;
  for (const PhaseCounts& phase : many.by_phase) {
    allocations += phase.allocations;
    bytes += phase.bytes;
  }
  EXPECT_EQ(allocations, many.allocations);
  EXPECT_EQ(bytes, many.bytes);

  const ByPhase of_few = between(warm, few);
  const ByPhase of_many = between(few, many);
  for (const char* phase : {"hand_off", "setup"}) {
    ASSERT_TRUE(of_few.contains(phase)) << text(of_few);
    EXPECT_GE(of_few.at(phase).allocations, 10) << text(of_few);
  }
  EXPECT_EQ(of_few.at("setup"), of_many.at("setup")) << text(of_few) << text(of_many);
  // Where the thread before is still ending, its stack is not there to be taken, and another
  // allocation comes with a new one.
  EXPECT_LE(of_few.at("hand_off").allocations, 20) << text(of_few);
  ASSERT_TRUE(of_few.contains("parse"));
  EXPECT_EQ(of_many.at("parse").allocations, 6 * of_few.at("parse").allocations);
  EXPECT_EQ(of_many.at("parse").bytes, 6 * of_few.at("parse").bytes);
  EXPECT_EQ(of_many.size(), 3) << text(of_many);
}

}  // namespace
}  // namespace spawnpool::cost
