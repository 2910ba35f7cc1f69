// Heap allocations of another process, counted inside it by libspawnpool_alloc.so and read from
// outside.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace spawnpool::cost {

struct AllocationPage;

// Running totals since the target started. They follow valgrind memcheck's "total heap usage":
// calls that failed and free(nullptr) do not count, realloc of a block counts as a free and an
// allocation of its new size.
struct AllocationCounts {
  std::uint64_t allocations = 0;
  std::uint64_t frees = 0;
  std::uint64_t bytes = 0;            // asked for in all allocations; not what is live
  std::uint64_t threads_started = 0;  // by pthread_create or thrd_create

  friend bool operator==(const AllocationCounts&, const AllocationCounts&) = default;
};

// The counts of one target with its descendants, in a page of memory that has no name in any file
// system and goes with its last user. Use a counter per target: start the target with environment()
// added to its environment and fd() open in it.
//
// The descriptor is close-on-exec, so that no other child gets it: between fork and exec the
// launcher clears the flag in the target's process, fcntl(counter.fd(), F_SETFD, 0).
//
// Counting costs the target time: never count in a trial that is timed.
class AllocationCounter {
 public:
  // Throws std::invalid_argument, in one line, for a library that cannot be read or whose path
  // LD_PRELOAD cannot express, std::system_error when there is no memory for the page.
  explicit AllocationCounter(const std::string& library_path);
  ~AllocationCounter();
  AllocationCounter(const AllocationCounter&) = delete;
  AllocationCounter& operator=(const AllocationCounter&) = delete;

  [[nodiscard]] int fd() const { return fd_; }

  // "LD_PRELOAD=..." and "SPAWNPOOL_ALLOC_FD=...", which take the place of variables of the same
  // names.
  [[nodiscard]] std::vector<std::string> environment() const;

  // Whether allocations are being counted; settled before the target's main() runs. False for a
  // statically linked target, one that brings its own malloc, and one that did not inherit fd():
  // what read() returns then means nothing. True as soon as one program was counted, be it a shell
  // that started the target: of a single process, allocation_page_name in its /proc/PID/maps tells.
  [[nodiscard]] bool attached() const;

  // May be called while the target runs: each of the four numbers is then of its own instant.
  [[nodiscard]] AllocationCounts read() const;

 private:
  std::string library_path_;
  int fd_;
  const AllocationPage* page_;
};

}  // namespace spawnpool::cost
