#include "harness/load/background.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "harness/load/source_addresses.hpp"

namespace spawnpool::load {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t opened_per_tick = 64;
constexpr std::int64_t retry_ns = nanoseconds(1s).count();

}  // namespace

BackgroundClients::BackgroundClients(const LoadSpec& spec)
    : spec_(spec),
      step_bytes_(std::max(1U, spec.background.bytes_per_second / 10)),
      step_ns_(nanoseconds(1s).count() * static_cast<std::int64_t>(step_bytes_) /
               std::max(1U, spec.background.bytes_per_second)),
      clients_(spec.background.total()),
      slow_(spec.background.slow_senders + spec.background.slow_readers),
      unsettled_(clients_.size()),
      epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  if (epoll_ < 0) {
    throw std::system_error(errno, std::generic_category(), "epoll");
  }
  for (std::size_t i = 0; i < slow_; ++i) {
    clients_[i].kind = i < spec.background.slow_senders ? Kind::slow_sender : Kind::slow_reader;
  }
}

BackgroundClients::~BackgroundClients() {
  for (const Client& client : clients_) {
    if (client.fd >= 0) {
      ::close(client.fd);
    }
  }
  ::close(epoll_);
}

void BackgroundClients::tick(std::int64_t now) {
  for (std::size_t i = 0; i < opened_per_tick && opened_ < clients_.size(); ++i) {
    open(clients_[opened_++], now);
  }
  for (std::size_t i = 0; i < std::min(slow_, opened_); ++i) {
    if (clients_[i].due <= now) {
      act(clients_[i], now);
    }
  }
  for (; !closed_.empty() && clients_[closed_.front()].due <= now; closed_.pop_front()) {
    open(clients_[closed_.front()], now);
  }
  std::array<epoll_event, 64> events;
  const int count = epoll_wait(epoll_, events.data(), events.size(), 0);
  for (int i = 0; i < count; ++i) {
    act(clients_[events[static_cast<std::size_t>(i)].data.u64], now);
  }
}

// Connects; everything else happens when the client next acts.
void BackgroundClients::open(Client& client, std::int64_t now) {
  client.sent = 0;
  client.sent_all = false;
  client.reader.begin(spec_.requests.front().head);
  client.fd =
      socket(spec_.endpoint.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (client.fd >= 0 && client.kind == Kind::slow_reader) {
    // Two steps' worth, of which the kernel makes its minimum; before connecting, for the window.
    const int size = static_cast<int>(2 * step_bytes_);
    setsockopt(client.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
  }
  const auto& sources = spec_.sources;
  if (client.fd < 0 ||
      (!sources.empty() && !bind_source(client.fd, sources[next_source_++ % sources.size()])) ||
      (::connect(client.fd, reinterpret_cast<const sockaddr*>(&spec_.endpoint.address),
                 spec_.endpoint.length) != 0 &&
       errno != EINPROGRESS)) {
    ++count(client).errors;
    reopen_later(client, now);
    return;
  }
  client.due = now + step_ns_;
  client.paid = now;
  // Slow clients are looked at when they are due; idle ones when something happens to them.
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.u64 = static_cast<std::uint64_t>(&client - clients_.data());
  if (client.kind == Kind::idle) {
    epoll_ctl(epoll_, EPOLL_CTL_ADD, client.fd, &event);
  }
}

void BackgroundClients::act(Client& client, std::int64_t now) {
  if (client.fd < 0) {
    open(client, now);
    return;
  }
  client.due = now + step_ns_;
  if (!client.sent_all && !send_some(client, now)) {
    return;
  }
  receive_some(client, now);
}

// How many bytes a slow client may move, for the time that it has not used yet. What it could not
// use is kept for a step, and lost after that: it does not make up for it.
std::size_t BackgroundClients::allowance(Client& client, std::int64_t now) const {
  client.paid = std::max(client.paid, now - 2 * step_ns_);
  return static_cast<std::size_t>((now - client.paid) * spec_.background.bytes_per_second /
                                  nanoseconds(1s).count());
}

void BackgroundClients::pay(Client& client, std::size_t bytes) const {
  client.paid += static_cast<std::int64_t>(bytes) * nanoseconds(1s).count() /
                 spec_.background.bytes_per_second;
}

// False when the connection is gone.
bool BackgroundClients::send_some(Client& client, std::int64_t now) {
  const std::string& request = spec_.requests.front().keep;
  std::size_t size = request.size() - client.sent;
  if (client.kind == Kind::slow_sender) {
    size = std::min(size, allowance(client, now));
    if (size == 0) {
      return true;
    }
  }
  const ssize_t sent = send(client.fd, request.data() + client.sent, size, MSG_NOSIGNAL);
  if (sent < 0) {
    if (errno == EAGAIN) {
      return true;
    }
    const bool refused = client.sent == 0;
    ++(refused ? count(client).errors : count(client).closed_by_server);
    reopen_later(client, now);
    return false;
  }
  client.sent += static_cast<std::size_t>(sent);
  if (client.kind == Kind::slow_sender) {
    pay(client, static_cast<std::size_t>(sent));
  }
  client.sent_all = client.sent == request.size();
  if (client.kind != Kind::idle) {
    settle(client);
  }
  return true;
}

// Reads all there is, or what a slow reader may.
void BackgroundClients::receive_some(Client& client, std::int64_t now) {
  std::array<char, 16 * 1024> buffer;
  for (;;) {
    std::size_t most = buffer.size();
    if (client.kind == Kind::slow_reader) {
      most = std::min(most, allowance(client, now));
      if (most == 0) {
        return;
      }
    }
    const ssize_t size = recv(client.fd, buffer.data(), most, 0);
    if (size < 0 && errno == EAGAIN) {
      return;
    }
    if (size <= 0) {
      ++count(client).closed_by_server;
      reopen_later(client, now);
      return;
    }
    if (client.kind == Kind::slow_reader) {
      pay(client, static_cast<std::size_t>(size));
    }
    const auto progress = client.reader.read({buffer.data(), static_cast<std::size_t>(size)});
    if (progress.state == AnswerReader::State::broken) {
      ++count(client).errors;
      reopen_later(client, now);
      return;
    }
    if (progress.state == AnswerReader::State::complete) {
      ++count(client).answers;
      settle(client);
      const bool kept = client.reader.keep_alive();
      client.reader.begin(spec_.requests.front().head);
      if (!kept) {
        ++count(client).closed_by_server;
        reopen_later(client, now);
        return;
      }
      if (client.kind != Kind::idle) {  // and once more
        client.sent = 0;
        client.sent_all = false;
        return;
      }
    }
  }
}

void BackgroundClients::reopen_later(Client& client, std::int64_t now) {
  settle(client);
  if (client.fd >= 0) {
    ::close(std::exchange(client.fd, -1));
  }
  client.due = now + retry_ns;
  if (client.kind == Kind::idle) {
    closed_.push_back(static_cast<std::size_t>(&client - clients_.data()));
  }
}

void BackgroundClients::settle(Client& client) {
  if (!std::exchange(client.settled, true)) {
    --unsettled_;
  }
}

BackgroundCount& BackgroundClients::count(const Client& client) {
  switch (client.kind) {
    case Kind::slow_sender:
      return counts_.slow_senders;
    case Kind::slow_reader:
      return counts_.slow_readers;
    case Kind::idle:
      break;
  }
  return counts_.idle;
}

std::size_t BackgroundClients::missing() const {
  return static_cast<std::size_t>(
      std::count_if(clients_.begin(), clients_.end(),
                    [](const Client& client) { return client.fd < 0 || !client.settled; }));
}

BackgroundCounts BackgroundClients::counts() const {
  BackgroundCounts counts = counts_;
  for (const Client& client : clients_) {
    if (client.fd >= 0) {
      ++(client.kind == Kind::idle          ? counts.idle
         : client.kind == Kind::slow_sender ? counts.slow_senders
                                            : counts.slow_readers)
            .open;
    }
  }
  return counts;
}

}  // namespace spawnpool::load
