// Heap allocations of another process, counted inside it by libspawnpool_alloc.so and read from
// outside.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "harness/cost/phases.hpp"

namespace spawnpool::cost {

struct AllocationPage;

struct PhaseCounts {
  std::uint64_t allocations = 0;
  std::uint64_t bytes = 0;

  friend bool operator==(const PhaseCounts&, const PhaseCounts&) = default;
};

// Running totals since the target started. They follow valgrind memcheck's "total heap usage":
// calls that failed and free(nullptr) do not count, realloc of a block counts as a free and an
// allocation of its new size.
struct AllocationCounts {
  std::uint64_t allocations = 0;
  std::uint64_t frees = 0;
  std::uint64_t bytes = 0;            // asked for in all allocations; not what is live
  std::uint64_t threads_started = 0;  // by pthread_create or thrd_create
  // Address space of those threads' stacks, as their attributes or the default say. What of it is
  // touched, and so resident, is less.
  std::uint64_t stack_bytes_started = 0;

  // The heap of the target's first process since its last exec, and of no descendant: in usable
  // bytes (malloc_usable_size), which are those asked for, rounded up by the allocator. The live
  // bytes are exact while the target rests. The peak is at most 4 KiB per CPU too low. On one CPU
  // it is never too high; beside others it may be, by 128 KiB per CPU and a block of up to 32 MiB
  // that was freed there. It leaves out that realloc may hold both blocks for a moment.
  std::uint64_t heap_live_bytes = 0;
  std::uint64_t heap_peak_bytes = 0;

  // Of `allocations` and `bytes`, what threads did in each phase; in the order of phase_names. All
  // is in the first where marks_phases() is false.
  std::array<PhaseCounts, phase_count> by_phase{};

  friend bool operator==(const AllocationCounts&, const AllocationCounts&) = default;
};

// The counts of one target with its descendants, forked ones too, in a page of memory that has no
// name in any file system and goes with its last user, however that ends. Use a counter per target:
// start the target with environment() added to its environment and fd() open in it.
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

  // Whether a program that was counted marks its phases (see phase_names).
  [[nodiscard]] bool marks_phases() const;

  // May be called while the target runs: each of the numbers is then of its own instant.
  [[nodiscard]] AllocationCounts read() const;

 private:
  std::string library_path_;
  int fd_;
  const AllocationPage* page_;
};

}  // namespace spawnpool::cost
