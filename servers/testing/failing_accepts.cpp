#include "servers/testing/failing_accepts.hpp"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <utility>

namespace spawnpool::testing {
namespace {

// Returns the descriptor on which the decisions are asked for; -1 where the kernel has none.
int ask_about_accepts() {
  std::array<sock_filter, 4> program = {
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_accept4, 0, 1),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{program.size(), program.data()};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return -1;
  }
  return static_cast<int>(
      syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter));
}

}  // namespace

FailingAccepts::FailingAccepts(std::vector<int> errors)
    : errors_(std::move(errors)), filter_(ask_about_accepts()), end_(eventfd(0, EFD_CLOEXEC)) {
  if (works()) {
    thread_ = std::thread([this] { decide(); });
  }
}

FailingAccepts::~FailingAccepts() {
  if (works()) {
    eventfd_write(end_.fd(), 1);
    thread_.join();
  }
}

void FailingAccepts::decide() {
  auto next = errors_.begin();
  for (;;) {
    std::array<pollfd, 2> polled = {pollfd{filter_.fd(), POLLIN, 0}, pollfd{end_.fd(), POLLIN, 0}};
    poll(polled.data(), polled.size(), -1);
    if (polled[1].revents != 0) {
      return;
    }
    seccomp_notif call{};
    if (ioctl(filter_.fd(), SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) {
      continue;  // a signal has taken the call back
    }
    seccomp_notif_resp answer{};
    answer.id = call.id;
    if (next == errors_.end() || *next == 0) {
      answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    } else {
      answer.error = -*next;
    }
    if (ioctl(filter_.fd(), SECCOMP_IOCTL_NOTIF_SEND, &answer) == 0 && next != errors_.end()) {
      ++next;
    }
  }
}

}  // namespace spawnpool::testing
