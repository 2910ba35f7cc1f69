#include "harness/load/preflight.hpp"

#include <gtest/gtest.h>

#include <string>

#include "harness/load/source_addresses.hpp"
#include "servers/cli/cli.hpp"

namespace spawnpool::load {
namespace {

// What the check says, or nothing when it lets the load pass.
std::string refusal(const auto& check) {
  try {
    check();
  } catch (const cli::UsageError& error) {
    return error.what();
  }
  return "";
}

class PreflightTest : public ::testing::Test {
 protected:
  std::string refused(const Limits& limits) const {
    return refusal([&] { check_limits(spec_, limits); });
  }

  std::string refused_sources(const char* text) {
    spec_.sources = parse_source_addresses(text, spec_.endpoint);
    return refusal([&] { check_sources(spec_); });
  }

  LoadSpec spec_{.endpoint = resolve({.host = "127.0.0.1", .port = 80}),
                 .connections = 900,
                 .background = {.idle = 100}};
};

TEST_F(PreflightTest, TooFewDescriptorsAreTold) {
  EXPECT_EQ(refused({.descriptors = 1032}), "");
  EXPECT_EQ(refused({.descriptors = 1031}),
            "1000 connections need 1032 descriptors, the limit is 1031; raise it (ulimit -n) or "
            "lower --connections");
}

TEST_F(PreflightTest, TooFewPortsAreTold) {
  EXPECT_EQ(refused({.descriptors = 2000, .ports = 1000}), "");
  EXPECT_EQ(refused({.descriptors = 2000, .ports = 999}),
            "1000 connections need more local ports than the 999 there are; widen "
            "net.ipv4.ip_local_port_range or give more --source-addresses");
}

TEST_F(PreflightTest, EverySourceAddressHasItsPorts) {
  spec_.sources = parse_source_addresses("127.0.0.2,127.0.0.3", spec_.endpoint);
  EXPECT_EQ(refused({.descriptors = 2000, .ports = 500}), "");
  EXPECT_NE(refused({.descriptors = 2000, .ports = 499}).find("than the 998 there are"),
            std::string::npos);
}

TEST_F(PreflightTest, TheMachineHasWhatASmallLoadNeeds) {
  spec_.connections = 10;
  spec_.background = {};
  const Limits limits = take_limits(spec_);
  EXPECT_GE(limits.descriptors, 42);
  EXPECT_GT(limits.ports.value_or(0), 0);
  EXPECT_EQ(refused(limits), "");
}

TEST_F(PreflightTest, ASourceAddressOfAnotherMachineIsTold) {
  EXPECT_EQ(refused_sources("127.0.0.2,127.0.0.3"), "");
  EXPECT_EQ(refused_sources("127.0.0.2,192.0.2.1"),  // for documentation: nobody has it
            "--source-addresses: cannot connect from 192.0.2.1: Cannot assign requested address; "
            "give addresses of this machine");
}

}  // namespace
}  // namespace spawnpool::load
