#include "harness/cost/syscall_tracer.hpp"

#include <linux/audit.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <csignal>
#include <string>

#include "harness/cost/phase_word.hpp"

namespace spawnpool::cost {
namespace {

constexpr int syscall_stop = SIGTRAP | 0x80;  // PTRACE_O_TRACESYSGOOD
constexpr long options = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC |
                         PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK;

#ifdef __x86_64__
constexpr std::uint32_t own_architecture = AUDIT_ARCH_X86_64;
#else
constexpr std::uint32_t own_architecture = AUDIT_ARCH_AARCH64;
#endif

std::int64_t now() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

// What ptrace takes as a pointer, though it is a number.
void* number(long value) {
  return std::bit_cast<void*>(value);
}

std::system_error failure(const char* what) {
  return {errno, std::generic_category(), what};
}

// Nothing when the thread has been killed meanwhile.
std::optional<__ptrace_syscall_info> syscall_info(pid_t thread) {
  __ptrace_syscall_info info{};
  const auto size = static_cast<long>(sizeof info);
  if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, number(size), &info) <= 0) {
    return std::nullopt;
  }
  return info;
}

// 0 before the thread has set it.
std::uint64_t thread_pointer([[maybe_unused]] pid_t thread) {
#ifdef __x86_64__
  user_regs_struct registers{};
  if (ptrace(PTRACE_GETREGS, thread, nullptr, &registers) == 0) {
    return registers.fs_base;
  }
#endif
  return 0;
}

bool stops_a_group(int signal) {
  return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

}  // namespace

SyscallTracer::SyscallTracer(pid_t process, int log_fd) : log_fd_(log_fd) {
  int status = 0;
  if (ptrace(PTRACE_SEIZE, process, nullptr, number(options)) != 0 ||
      ptrace(PTRACE_INTERRUPT, process, nullptr, nullptr) != 0) {
    throw failure("ptrace");
  }
  if (waitpid(process, &status, __WALL) != process || !WIFSTOPPED(status)) {
    throw failure("waiting for the process to stop");
  }
  if (!syscall_info(process)) {
    throw failure("PTRACE_GET_SYSCALL_INFO");
  }
  if (ptrace(PTRACE_SYSCALL, process, nullptr, nullptr) != 0) {
    throw failure("PTRACE_SYSCALL");
  }
}

void SyscallTracer::run() {
  for (;;) {
    int status = 0;
    const pid_t thread = waitpid(-1, &status, __WALL);
    const std::int64_t now_ns = now();
    if (thread < 0 && errno != EINTR) {
      return;
    }
    if (thread > 0 && WIFSTOPPED(status)) {
      stopped(thread, status, now_ns);
    } else if (thread > 0) {
      threads_.erase(thread);
    }
  }
}

// That ptrace fails says that the thread has been killed: its end is waited for next.
void SyscallTracer::stopped(pid_t thread, int status, std::int64_t now_ns) {
  const int signal = WSTOPSIG(status);
  const auto event = static_cast<unsigned>(status) >> 16U;
  if (signal == syscall_stop) {
    at_call(thread, threads_[thread], now_ns);
    ptrace(PTRACE_SYSCALL, thread, nullptr, nullptr);
  } else if (event == PTRACE_EVENT_STOP && stops_a_group(signal)) {
    ptrace(PTRACE_LISTEN, thread, nullptr, nullptr);  // stays stopped, until SIGCONT
  } else if (event == PTRACE_EVENT_EXEC) {
    unsigned long former = 0;  // the thread that called exec: it has the process's number now
    ptrace(PTRACE_GETEVENTMSG, thread, nullptr, &former);
    counts_ = true;
    threads_.erase(static_cast<pid_t>(former));
    threads_.erase(thread);
    ptrace(PTRACE_SYSCALL, thread, nullptr, nullptr);
  } else {
    // A new thread, a call that made one, or a signal to be passed on.
    ptrace(PTRACE_SYSCALL, thread, nullptr, number(event == 0 ? signal : 0));
  }
}

void SyscallTracer::at_call(pid_t id, Thread& thread, std::int64_t now_ns) {
  const auto info = syscall_info(id);
  if (!info || !counts_) {
    return;
  }
  if (info->op == PTRACE_SYSCALL_INFO_ENTRY) {
    settle(id, thread);
    thread.in_call = true;
    thread.number = info->arch == own_architecture ? static_cast<std::int32_t>(info->entry.nr)
                                                   : SyscallRecord::other_abi;
    thread.phase = phase(id, thread);
    write({id, thread.number, thread.phase, SyscallRecord::Kind::begin, now()});
  } else if (info->op == PTRACE_SYSCALL_INFO_EXIT && thread.in_call) {
    thread.in_call = false;
    write({id, thread.number, thread.phase, SyscallRecord::Kind::end, now_ns});
  }
}

// Which program a thread runs, and where that has its mark. It stays so until an exec.
void SyscallTracer::settle(pid_t id, Thread& thread) {
  if (thread.known) {
    return;
  }
  thread.known = true;
  const std::string program = "/proc/" + std::to_string(id) + "/exe";
  struct stat file {};
  if (stat(program.c_str(), &file) != 0) {
    return;
  }
  const auto [found, is_new] = programs_.try_emplace({file.st_dev, file.st_ino});
  if (is_new) {
    found->second = phase_word_offset(program);
  }
  thread.marks = found->second.has_value();
  thread.phase_offset = found->second.value_or(0);
}

std::uint32_t SyscallTracer::phase(pid_t id, const Thread& thread) const {
  if (!thread.marks) {
    return SyscallRecord::unmarked;
  }
  const std::uint64_t pointer = thread_pointer(id);
  if (pointer == 0) {
    return 0;
  }
  std::uint32_t word = 0;
  iovec here{.iov_base = &word, .iov_len = sizeof word};
  auto* const address =
      std::bit_cast<void*>(pointer + static_cast<std::uint64_t>(thread.phase_offset));
  const iovec there{.iov_base = address, .iov_len = sizeof word};
  if (process_vm_readv(id, &here, 1, &there, 1, 0) != static_cast<ssize_t>(sizeof word)) {
    return SyscallRecord::unreadable;
  }
  return word < phase_count ? word : 0;
}

void SyscallTracer::write(const SyscallRecord& record) const {
  if (::write(log_fd_, &record, sizeof record) != static_cast<ssize_t>(sizeof record)) {
    throw failure("writing the log of system calls");
  }
}

}  // namespace spawnpool::cost
