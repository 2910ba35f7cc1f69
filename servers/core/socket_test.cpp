#include "servers/core/socket.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cerrno>
#include <cstring>

namespace spawnpool {
namespace {

bool is_open(int fd) {
  return fcntl(fd, F_GETFD) != -1;
}

Socket make_socket() {
  return Socket(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

TEST(Socket, ClosesWhatItOwnsOnce) {
  int fd = -1;
  {
    Socket socket = make_socket();
    fd = socket.fd();
    ASSERT_TRUE(is_open(fd));
    const Socket taken = std::move(socket);
    EXPECT_FALSE(socket);  // NOLINT(bugprone-use-after-move): that is what is tested
    EXPECT_EQ(taken.fd(), fd);
    EXPECT_TRUE(is_open(fd));
  }
  EXPECT_FALSE(is_open(fd));
}

TEST(Socket, ClosesWhatItHadWhenAnotherIsMovedIn) {
  Socket first = make_socket();
  Socket second = make_socket();
  const int first_fd = first.fd();
  const int second_fd = second.fd();
  first = std::move(second);
  EXPECT_FALSE(is_open(first_fd));
  EXPECT_EQ(first.fd(), second_fd);
  first.close();
  EXPECT_FALSE(first);
  EXPECT_FALSE(is_open(second_fd));
}

TEST(Socket, CarriesItsPeerAlong) {
  PeerAddress peer{};
  peer[15] = 7;
  Socket socket(-1, peer);
  Socket other;
  other = std::move(socket);
  EXPECT_EQ(other.peer(), peer);
}

sockaddr_storage v4(const char* text) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  inet_pton(AF_INET, text, &address.sin_addr);
  sockaddr_storage result{};
  std::memcpy(&result, &address, sizeof(address));
  return result;
}

sockaddr_storage v6(const char* text) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  inet_pton(AF_INET6, text, &address.sin6_addr);
  sockaddr_storage result{};
  std::memcpy(&result, &address, sizeof(address));
  return result;
}

TEST(PeerAddress, IsTheSameForAnAddressAndItsMappedForm) {
  EXPECT_EQ(peer_address(v4("192.0.2.1")), peer_address(v6("::ffff:192.0.2.1")));
  EXPECT_NE(peer_address(v4("192.0.2.1")), peer_address(v4("192.0.2.2")));
  EXPECT_NE(peer_address(v4("192.0.2.1")), peer_address(v6("::192.0.2.1")));
}

TEST(PeerAddress, IsZeroForOtherFamilies) {
  EXPECT_EQ(peer_address(sockaddr_storage{}), PeerAddress{});
}

}  // namespace
}  // namespace spawnpool
