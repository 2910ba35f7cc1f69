#include "servers/core/listener.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/time.h>

#include <functional>
#include <optional>

#include "servers/testing/client.hpp"

namespace spawnpool {
namespace {

using testing::Client;
using namespace std::chrono_literals;

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const ListenError& error) {
    return error.what();
  }
  return "no error";
}

bool has_connection(const Listener& listener) {
  pollfd polled{listener.fd(), POLLIN, 0};
  return poll(&polled, 1, 0) == 1;
}

std::chrono::microseconds time_option(int fd, int option) {
  timeval value{};
  socklen_t size = sizeof(value);
  getsockopt(fd, SOL_SOCKET, option, &value, &size);
  return std::chrono::seconds(value.tv_sec) + std::chrono::microseconds(value.tv_usec);
}

TEST(Listener, TakesAFreePortAndTellsWhich) {
  const Listener first("127.0.0.1", 0, 16, {});
  const Listener second("127.0.0.1", 0, 16, {});
  EXPECT_NE(first.port(), 0);
  EXPECT_NE(second.port(), 0);
  EXPECT_NE(first.port(), second.port());
  EXPECT_NO_THROW(Client(first.port()));
}

TEST(Listener, DefersAConnectionUntilItsFirstBytes) {
  const Listener listener("127.0.0.1", 0, 16, {}, /*defer_accept=*/true);
  Client client(listener.port());
  EXPECT_FALSE(has_connection(listener));
  client.send("G");
  EXPECT_TRUE(testing::eventually([&] { return has_connection(listener); }));
}

TEST(Listener, TakesAnAddressOfVersion6) {
  std::optional<Listener> listener;
  const std::string message = message_of([&] { listener.emplace("::1", 0, 16, Limits{}); });
  if (!listener) {  // a kernel without IPv6 says so in the usual line
    EXPECT_TRUE(message.starts_with("cannot listen on ::1 port 0: ")) << message;
    return;
  }
  EXPECT_NE(listener->port(), 0);
}

TEST(Listener, NamesThePortThatIsInUseAndTheMend) {
  const Listener first("127.0.0.1", 0, 16, {});
  EXPECT_EQ(message_of([&] { Listener("127.0.0.1", first.port(), 16, {}); }),
            "cannot listen on 127.0.0.1 port " + std::to_string(first.port()) +
                ": Address already in use; give another --port, or --port 0 for a free one");
}

TEST(Listener, NamesAnAddressThatIsNone) {
  EXPECT_EQ(message_of([] { Listener("localhost", 0, 16, {}); }),
            "cannot listen on 'localhost': not a numeric IPv4 or IPv6 address (such as 127.0.0.1 "
            "or ::1)");
}

TEST(Listener, NamesAnAddressOfAnotherMachine) {
  EXPECT_EQ(message_of([] { Listener("192.0.2.1", 0, 16, {}); }),
            "cannot listen on 192.0.2.1 port 0: Cannot assign requested address; give an "
            "--address of this machine");
}

TEST(Listener, CanTakeAPortAgainWhoseConnectionsLinger) {
  std::uint16_t port = 0;
  {
    Listener listener("127.0.0.1", 0, 16, {});
    port = listener.port();
    Client client(port);
    Socket(accept(listener.fd(), nullptr, nullptr)).close();  // this end closes first: TIME_WAIT
    EXPECT_EQ(client.await_end(), testing::End::closed);
  }
  EXPECT_NO_THROW(Listener("127.0.0.1", port, 16, {}));
}

TEST(Listener, LetsConnectionsInheritTheirOptions) {
  Limits limits;
  limits.header_timeout = 7s;
  limits.idle_timeout = 3s;
  limits.write_timeout = 1500ms;
  const Listener listener("127.0.0.1", 0, 16, limits);
  const Client client(listener.port());
  const Socket accepted(accept(listener.fd(), nullptr, nullptr));
  ASSERT_TRUE(accepted);
  int no_delay = 0;
  socklen_t size = sizeof(no_delay);
  getsockopt(accepted.fd(), IPPROTO_TCP, TCP_NODELAY, &no_delay, &size);
  EXPECT_NE(no_delay, 0);
  EXPECT_EQ(time_option(accepted.fd(), SO_RCVTIMEO), 3s);  // the shorter of the two
  EXPECT_EQ(time_option(accepted.fd(), SO_SNDTIMEO), 1500ms);
}

TEST(Listener, WaitsForNothingForEverWhenATimeoutIsTiny) {
  Limits limits;
  limits.idle_timeout = 1ns;  // 0 would mean no time-out to the kernel
  limits.write_timeout = 999'999'999ns;
  const Listener listener("127.0.0.1", 0, 16, limits);
  EXPECT_GT(time_option(listener.fd(), SO_RCVTIMEO), 0s);
  EXPECT_GE(time_option(listener.fd(), SO_SNDTIMEO), 999ms);
}

TEST(Listener, AdmitsNoMoreButKeepsWhoWasLetIn) {
  Listener listener("127.0.0.1", 0, 16, {});
  Client before(listener.port());
  listener.admit_no_more();
  EXPECT_THROW(Client(listener.port(), nullptr, 50ms), testing::ConnectError);
  ASSERT_TRUE(has_connection(listener));
  const Socket accepted(accept(listener.fd(), nullptr, nullptr));
  ASSERT_TRUE(accepted);
  EXPECT_FALSE(has_connection(listener));
  // The one that was let in is as good as ever, both ways.
  ASSERT_TRUE(before.send("x"));
  char byte = 0;
  EXPECT_EQ(recv(accepted.fd(), &byte, 1, 0), 1);
  EXPECT_EQ(send(accepted.fd(), "y", 1, 0), 1);
  EXPECT_EQ(recv(before.fd(), &byte, 1, 0), 1);
  EXPECT_EQ(byte, 'y');
}

}  // namespace
}  // namespace spawnpool
