// How the scheduler treated a whole process, as the kernel's taskstats interface tells it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace spawnpool::cost {

// What the scheduler did to threads since they started.
struct Scheduling {
  std::uint64_t voluntary_switches = 0;       // the thread had to wait for something
  std::uint64_t involuntary_switches = 0;     // others were given its core
  std::chrono::nanoseconds run_queue_wait{};  // ready to run, and had no core

  [[nodiscard]] std::uint64_t switches() const { return voluntary_switches + involuntary_switches; }
  Scheduling& operator+=(const Scheduling& other);
  Scheduling& operator-=(const Scheduling& other);
  friend bool operator==(const Scheduling&, const Scheduling&) = default;
};

// Why taskstats did not answer, in one line.
class TaskstatsError : public std::runtime_error {
 public:
  // `code` is an errno value, 0 when there is none.
  explicit TaskstatsError(const std::string& reason, int code = 0)
      : std::runtime_error("taskstats: " + reason), code_(code) {}
  [[nodiscard]] int code() const { return code_; }

 private:
  int code_;
};

// A netlink connection to the kernel's taskstats (Documentation/accounting/taskstats.rst). The
// kernel keeps these counts whether or not anybody asks: asking costs the process asked about
// nothing while it runs.
//
// Not synchronised.
class Taskstats {
 public:
  // Throws TaskstatsError where the kernel does not answer (it wants CAP_NET_ADMIN and knows the
  // machine's own network namespace only), or where its answers leave out threads that have ended,
  // as those of older kernels do. The latter is found out once, within some milliseconds, with a
  // short thread of our own.
  Taskstats();
  ~Taskstats() = default;
  Taskstats(const Taskstats&) = delete;
  Taskstats& operator=(const Taskstats&) = delete;

  // Of the process's threads since its start, those that have ended included. A thread that is just
  // ending may be counted twice: the kernel adds it to the ended ones a moment before it takes it
  // from the live ones. Throws TaskstatsError, with code() ESRCH when there is no such process; it
  // waits for an answer for 2 s at most.
  Scheduling scheduling(pid_t pid);

 private:
  std::string ask(std::uint16_t family, std::uint8_t command, std::uint16_t attribute,
                  std::string_view value);
  std::uint16_t find_family();
  bool counts_ended_threads();

  struct Socket {
    int fd;
    ~Socket();
  } socket_;
  std::uint32_t sequence_ = 0;
  std::uint16_t family_ = 0;
};

}  // namespace spawnpool::cost
