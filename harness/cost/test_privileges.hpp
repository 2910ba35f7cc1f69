// For tests: what the kernel refuses to ordinary users and in containers.
#pragma once

#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>

namespace spawnpool::cost {

// Takes the capabilities from the calling thread, as an ordinary user has none, while it lives.
class WithoutCapabilities {
 public:
  WithoutCapabilities() {
    EXPECT_EQ(syscall(SYS_capget, &header_, saved_.data()), 0);
    auto none = saved_;
    for (auto& part : none) {
      part.effective = 0;
    }
    EXPECT_EQ(syscall(SYS_capset, &header_, none.data()), 0);
  }
  ~WithoutCapabilities() { EXPECT_EQ(syscall(SYS_capset, &header_, saved_.data()), 0); }
  WithoutCapabilities(const WithoutCapabilities&) = delete;
  WithoutCapabilities& operator=(const WithoutCapabilities&) = delete;

 private:
  __user_cap_header_struct header_{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> saved_{};
};

// From now on, and for ever, the calling thread and what it starts are refused perf_event_open, as
// by a container's seccomp profile.
inline void forbid_perf_events() {
  std::array<sock_filter, 4> program = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_perf_event_open, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog filter{.len = program.size(), .filter = program.data()};
  ASSERT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), 0);
}

}  // namespace spawnpool::cost
