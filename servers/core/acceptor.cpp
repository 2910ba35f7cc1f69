#include "servers/core/acceptor.hpp"

#include <fcntl.h>
#include <pthread.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <new>

#include "servers/core/address_limit.hpp"
#include "servers/core/connection_registry.hpp"
#include "servers/core/phase.hpp"
#include "servers/log.hpp"

namespace spawnpool {
namespace {

// Interrupts the accept loop's blocking accept. SIGURG because it is ignored by default, so that a
// stray one harms nobody.
constexpr int wake_signal = SIGURG;

}  // namespace

Acceptor::Acceptor(Listener& listener, ServerState& server, ServingModel& model)
    : listener_(listener), server_(server), model_(model) {
  struct sigaction action {};
  action.sa_handler = [](int) {};  // without SA_RESTART: accept comes back with EINTR
  sigaction(wake_signal, &action, nullptr);

  // The thread is born with every signal blocked but the one that wakes it.
  sigset_t mask;
  sigset_t before;
  sigfillset(&mask);
  sigdelset(&mask, wake_signal);
  pthread_sigmask(SIG_SETMASK, &mask, &before);
  try {
    thread_ = std::thread([this] { run(); });
  } catch (...) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Acceptor::~Acceptor() {
  stop();
}

void Acceptor::admit_no_more() {
  if (stopping_.is_set()) {
    return;
  }
  // In this order: once the loop sees stopping_, an accept that finds nothing was the last.
  listener_.admit_no_more();
  fcntl(listener_.fd(), F_SETFL, O_NONBLOCK);
  stopping_.set();
  // Either the loop sits in an accept, which the signal ends, or its next accept does not block.
  pthread_kill(thread_.native_handle(), wake_signal);
}

bool Acceptor::wait_until_done(std::chrono::steady_clock::time_point deadline) {
  return done_.wait_for(deadline - std::chrono::steady_clock::now());
}

void Acceptor::stop() {
  if (!thread_.joinable()) {
    return;
  }
  admit_no_more();
  giving_up_.set();
  model_.stop_waiting();
  thread_.join();
  listener_.close();
}

void Acceptor::run() {
  const bool wants_address = server_.addresses != nullptr;
  for (;;) {
    mark(Phase::accept);
    const bool stopping = stopping_.is_set();  // before the accept, see admit_no_more()
    sockaddr_storage address{};
    socklen_t length = sizeof(address);
    const int fd =
        accept4(listener_.fd(), wants_address ? reinterpret_cast<sockaddr*>(&address) : nullptr,
                wants_address ? &length : nullptr, SOCK_CLOEXEC);
    if (fd >= 0) {
      backoff_.reset();
      hand_over(Socket(fd, wants_address ? peer_address(address) : PeerAddress{}));
      continue;
    }
    const int error = errno;
    if (error == EINTR && stopping_.is_set()) {  // by the signal of admit_no_more()
      continue;
    }
    // EAGAIN is the receive time-out that the listener has for its sockets' sake, or, when
    // stopping, the end of the kernel's queue.
    if (error != EAGAIN) {
      handle_error(error);
    }
    if (stopping && (error == EAGAIN || giving_up_.is_set())) {
      done_.set();
      return;
    }
  }
}

void Acceptor::hand_over(Socket socket) {
  Counters& counters = server_.counters;
  Counters::add(counters.accepted);
  if (server_.addresses != nullptr && !server_.addresses->acquire(socket.peer())) {
    reject(std::move(socket), 429, "too many connections of this address",
           counters.rejected_address);
    return;
  }
  server_.registry.admit();
  const std::size_t open = server_.registry.open();
  mark(Phase::hand_off);
  const Dispatch result = dispatch(socket);
  if (result == Dispatch::taken) {
    Counters::raise(counters.open_peak, open);
    return;
  }
  if (server_.addresses != nullptr) {
    server_.addresses->release(socket.peer());
  }
  server_.registry.dismiss();
  if (result == Dispatch::busy) {
    reject(std::move(socket), 503, "all busy", counters.rejected_busy);
  } else {
    reject(std::move(socket), 503, "no thread to be had", counters.rejected_no_thread);
  }
}

Dispatch Acceptor::dispatch(Socket& socket) {
  try {
    return model_.dispatch(socket);
  } catch (const std::bad_alloc&) {  // no memory for a thread's or a worker's data
    return Dispatch::no_thread;
  }
}

void Acceptor::reject(Socket socket, unsigned status, std::string_view reason,
                      Counters::Count& counter) {
  Counters::add(counter);
  if (const auto count = rejections_.count(std::chrono::steady_clock::now())) {
    std::array<char, 128> text;
    std::snprintf(text.data(), text.size(), "%llu, the last with %u: %.*s",
                  static_cast<unsigned long long>(*count), status, static_cast<int>(reason.size()),
                  reason.data());
    log_error("connections rejected", text.data());
  }
  refuse_accepted(server_, std::move(socket), status, reason);
}

void Acceptor::handle_error(int error) {
  Counters::add(server_.counters.errors_accept);
  const auto delay = backoff_.next();
  std::array<char, 128> text;
  std::snprintf(text.data(), text.size(), "%s; next try in %lld ms", strerrordesc_np(error),
                static_cast<long long>(delay.count()));
  log_error("accept", text.data());
  // When stopping, descriptors come free as connections end, until that is given up.
  (stopping_.is_set() ? giving_up_ : stopping_).wait_for(delay);
}

}  // namespace spawnpool
