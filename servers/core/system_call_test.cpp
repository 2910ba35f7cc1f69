#include "servers/core/system_call.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <string_view>

namespace spawnpool {
namespace {

class SystemCall : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_.data()), 0);
  }
  void TearDown() override {
    close(ends_[0]);
    close(ends_[1]);
  }
  std::array<int, 2> ends_{};
};

TEST_F(SystemCall, CarriesBytesAndTheirEnd) {
  constexpr std::string_view text = "some bytes";
  EXPECT_EQ(send_bytes(ends_[0], text.data(), text.size(), MSG_NOSIGNAL), 10);
  std::array<char, 16> got{};
  EXPECT_EQ(receive_bytes(ends_[1], got.data(), 4, 0), 4);
  EXPECT_EQ(receive_bytes(ends_[1], got.data() + 4, 12, MSG_DONTWAIT), 6);
  EXPECT_EQ(std::string_view(got.data(), 10), text);
  shutdown(ends_[0], SHUT_WR);
  EXPECT_EQ(receive_bytes(ends_[1], got.data(), 16, 0), 0);
}

TEST_F(SystemCall, TellsWhatWentWrong) {
  std::array<char, 16> bytes{};
  errno = 0;
  EXPECT_EQ(receive_bytes(ends_[0], bytes.data(), 16, MSG_DONTWAIT), -1);
  EXPECT_EQ(errno, EAGAIN);
  shutdown(ends_[1], SHUT_RD);
  EXPECT_EQ(send_bytes(ends_[0], bytes.data(), 16, MSG_NOSIGNAL), -1);  // and no signal
  EXPECT_EQ(errno, EPIPE);
  EXPECT_EQ(send_bytes(-1, bytes.data(), 16, 0), -1);
  EXPECT_EQ(errno, EBADF);
}

TEST_F(SystemCall, YieldsWithoutATrace) {
  errno = 7;
  yield_cpu();
  EXPECT_EQ(errno, 7);
}

}  // namespace
}  // namespace spawnpool
