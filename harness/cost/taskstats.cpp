#include "harness/cost/taskstats.hpp"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/taskstats.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <ctime>
#include <system_error>
#include <thread>

namespace spawnpool::cost {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto patience = std::chrono::seconds(1);

[[noreturn]] void fail(int error) {
  throw TaskstatsError(
      std::generic_category().message(error) +
          (error == EPERM ? " (needs CAP_NET_ADMIN, and not within a container)" : ""),
      error);
}

template <typename T>
std::string_view bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

template <typename T>
T value_at(std::string_view bytes, std::size_t offset = 0) {
  if (bytes.size() < offset + sizeof(T)) {
    throw TaskstatsError("the kernel's answer is cut short");
  }
  T value{};
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

// The value of one among netlink attributes. Throws TaskstatsError when it is not there.
std::string_view attribute_in(std::string_view attributes, std::uint16_t type) {
  while (!attributes.empty()) {
    const auto header = value_at<nlattr>(attributes);
    if (header.nla_len < NLA_HDRLEN || header.nla_len > attributes.size()) {
      break;
    }
    if ((header.nla_type & NLA_TYPE_MASK) == type) {
      return attributes.substr(NLA_HDRLEN, header.nla_len - NLA_HDRLEN);
    }
    attributes.remove_prefix(
        std::min<std::size_t>(NLA_ALIGN(std::size_t{header.nla_len}), attributes.size()));
  }
  throw TaskstatsError("the kernel's answer has no attribute " + std::to_string(type));
}

std::uint64_t own_switches() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_nvcsw) + static_cast<std::uint64_t>(usage.ru_nivcsw);
}

// Runs a thread that is switched from that often, and returns once the kernel has let go of it.
void run_short_thread(int switches) {
  pid_t id = 0;
  std::thread([&id, switches] {
    id = gettid();
    const timespec moment{.tv_sec = 0, .tv_nsec = 1};
    for (int i = 0; i < switches; ++i) {
      nanosleep(&moment, nullptr);
    }
  }).join();
  // A thread can be joined a moment before it leaves the live ones.
  const auto deadline = Clock::now() + patience;
  while (syscall(SYS_tgkill, getpid(), id, 0) == 0) {
    if (Clock::now() >= deadline) {
      throw TaskstatsError("a thread started to test it does not end");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace

Scheduling& Scheduling::operator+=(const Scheduling& other) {
  voluntary_switches += other.voluntary_switches;
  involuntary_switches += other.involuntary_switches;
  run_queue_wait += other.run_queue_wait;
  return *this;
}

Scheduling& Scheduling::operator-=(const Scheduling& other) {
  voluntary_switches -= other.voluntary_switches;
  involuntary_switches -= other.involuntary_switches;
  run_queue_wait -= other.run_queue_wait;
  return *this;
}

Taskstats::Socket::~Socket() {
  close(fd);
}

Taskstats::Taskstats() : socket_{socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC)} {
  const timeval timeout{.tv_sec = patience.count(), .tv_usec = 0};
  if (socket_.fd < 0 ||
      setsockopt(socket_.fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) != 0) {
    fail(errno);
  }
  family_ = find_family();
  scheduling(getpid());  // whether we may
  static const bool counts_all = counts_ended_threads();
  if (!counts_all) {
    throw TaskstatsError("this kernel leaves out threads that have ended");
  }
}

std::uint16_t Taskstats::find_family() {
  const std::string_view name(TASKSTATS_GENL_NAME, sizeof TASKSTATS_GENL_NAME);  // with its '\0'
  const std::string answer = ask(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, name);
  return value_at<std::uint16_t>(attribute_in(answer, CTRL_ATTR_FAMILY_ID));
}

Scheduling Taskstats::scheduling(pid_t pid) {
  const std::string answer =
      ask(family_, TASKSTATS_CMD_GET, TASKSTATS_CMD_ATTR_TGID, bytes_of(pid));
  const std::string_view stats =
      attribute_in(attribute_in(answer, TASKSTATS_TYPE_AGGR_TGID), TASKSTATS_TYPE_STATS);
  // Single fields, since the struct grows from one kernel to the next.
  return {.voluntary_switches = value_at<std::uint64_t>(stats, offsetof(taskstats, nvcsw)),
          .involuntary_switches = value_at<std::uint64_t>(stats, offsetof(taskstats, nivcsw)),
          .run_queue_wait = std::chrono::nanoseconds(
              value_at<std::uint64_t>(stats, offsetof(taskstats, cpu_delay_total)))};
}

bool Taskstats::counts_ended_threads() {
  constexpr int switches = 100;
  const std::uint64_t told_before = scheduling(getpid()).switches();
  const std::uint64_t used_before = own_switches();
  run_short_thread(switches);
  const std::uint64_t used = own_switches() - used_before;
  const std::uint64_t told_after = scheduling(getpid()).switches();
  const std::uint64_t told = told_after - std::min(told_before, told_after);
  // The last steps of a thread's end are not counted, and may be switched from once or twice.
  return told + switches / 2 >= used;
}

std::string Taskstats::ask(std::uint16_t family, std::uint8_t command, std::uint16_t attribute,
                           std::string_view value) {
  const nlattr attribute_header{.nla_len = static_cast<std::uint16_t>(NLA_HDRLEN + value.size()),
                                .nla_type = attribute};
  const genlmsghdr command_header{.cmd = command, .version = 1, .reserved = 0};
  std::string body(bytes_of(command_header));
  body.append(bytes_of(attribute_header)).append(value);
  body.resize(NLMSG_ALIGN(body.size()));
  const nlmsghdr header{.nlmsg_len = static_cast<std::uint32_t>(NLMSG_HDRLEN + body.size()),
                        .nlmsg_type = family,
                        .nlmsg_flags = NLM_F_REQUEST,
                        .nlmsg_seq = ++sequence_,
                        .nlmsg_pid = 0};
  const std::string request = std::string(bytes_of(header)) + body;
  if (send(socket_.fd, request.data(), request.size(), 0) != static_cast<ssize_t>(request.size())) {
    fail(errno);
  }

  // An answer to an earlier request, given up by its time-out, may lie before ours.
  for (const auto deadline = Clock::now() + patience; Clock::now() < deadline;) {
    std::array<char, 16384> buffer{};
    const ssize_t got = recv(socket_.fd, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      fail(errno == EAGAIN ? ETIMEDOUT : errno);
    }
    const std::string_view answer(buffer.data(), static_cast<std::size_t>(got));
    const auto answer_header = value_at<nlmsghdr>(answer);
    if (answer_header.nlmsg_seq != sequence_) {
      continue;
    }
    if (answer_header.nlmsg_type == NLMSG_ERROR) {
      fail(-value_at<nlmsgerr>(answer, NLMSG_HDRLEN).error);
    }
    const std::size_t start = NLMSG_HDRLEN + GENL_HDRLEN;
    if (answer_header.nlmsg_len < start || answer_header.nlmsg_len > answer.size()) {
      throw TaskstatsError("the kernel's answer is cut short");
    }
    return std::string(answer.substr(start, answer_header.nlmsg_len - start));
  }
  fail(ETIMEDOUT);
}

}  // namespace spawnpool::cost
