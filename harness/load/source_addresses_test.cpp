#include "harness/load/source_addresses.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <string>

#include "harness/load/preflight.hpp"
#include "servers/cli/cli.hpp"

namespace spawnpool::load {
namespace {

std::string text(const sockaddr_storage& storage) {
  char buffer[INET_ADDRSTRLEN];
  sockaddr_in address{};
  std::memcpy(&address, &storage, sizeof(address));
  return inet_ntop(AF_INET, &address.sin_addr, buffer, sizeof(buffer));
}

const Endpoint loopback = resolve({.host = "127.0.0.1", .port = 80});
const Endpoint loopback6 = resolve({.host = "::1", .port = 80});

TEST(SourceAddresses, AreReadOneByOneAndAsRanges) {
  const auto all = parse_source_addresses("127.0.0.9,127.3.0.0/30", loopback);
  ASSERT_EQ(all.size(), 5);
  EXPECT_EQ(text(all[0]), "127.0.0.9");
  EXPECT_EQ(text(all[1]), "127.3.0.0");
  EXPECT_EQ(text(all[4]), "127.3.0.3");
  EXPECT_EQ(parse_source_addresses("::1", loopback6).size(), 1);
}

TEST(SourceAddresses, RefuseWhatIsNone) {
  for (const char* wrong : {"", "x", "127.0.0.1,", "127.0.0.1/8", "127.0.0.1/33", "127.0.0.1/x",
                            "127.0.0.0-127.0.0.9", "::1", "::1/64"}) {
    EXPECT_THROW(parse_source_addresses(wrong, loopback), cli::UsageError) << wrong;
  }
  EXPECT_THROW(parse_source_addresses("127.0.0.1", loopback6), cli::UsageError);
}

TEST(SourceAddresses, AreManyByDefaultForAConnectionPerRequestToLoopback) {
  LoadSpec spec{.endpoint = loopback};
  EXPECT_TRUE(default_source_addresses(spec).empty());
  spec.requests_per_connection = 1;
  std::set<std::string> different;
  for (const auto& address : default_source_addresses(spec)) {
    different.insert(text(address));
    EXPECT_EQ(text(address).substr(0, 4), "127.");
  }
  EXPECT_EQ(different.size(), 1024);
  spec.endpoint = loopback6;
  EXPECT_TRUE(default_source_addresses(spec).empty());
}

TEST(SourceAddresses, AreAddedWhereOneHasTooFewPorts) {
  LoadSpec spec{.endpoint = loopback, .connections = 50'000};
  EXPECT_EQ(default_source_addresses(spec).size(), 3);
}

}  // namespace
}  // namespace spawnpool::load
