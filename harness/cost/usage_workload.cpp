// Test fixture: uses known amounts of the machine on command, one line each, and answers "done".
//   burn T MS       T threads use MS milliseconds of CPU each and end
//   fork-burn MS    a child process uses MS milliseconds of CPU, ends and is waited for
//   keep-burn MS    a child process uses MS milliseconds of CPU and stays
//   touch N         N fresh pages, kept          drop    gives them back
//   migrate N       the main thread moves between two cores N times
//   pass N          a byte to and fro N times between two threads on one core, which end
//   pass-live N     the same between the main thread and one that lives as long as the program
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

namespace {

void burn(long milliseconds) {
  timespec used{};
  do {
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  } while (used.tv_sec * 1000 + used.tv_nsec / 1'000'000 < milliseconds);
}

void burn_in_threads(long threads, long milliseconds) {
  std::vector<std::thread> running;
  for (long i = 0; i < threads; ++i) {
    running.emplace_back(burn, milliseconds);
  }
  for (std::thread& thread : running) {
    thread.join();
  }
}

class Pipe {
 public:
  Pipe() {
    if (pipe(ends_.data()) != 0) {
      _exit(3);
    }
  }
  ~Pipe() {
    close(ends_[0]);
    close_writer();
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  void close_writer() {
    close(ends_[1]);
    ends_[1] = -1;
  }
  // Waits for a byte; false when the writer is closed.
  [[nodiscard]] bool take() const {
    char byte = 0;
    return read(ends_[0], &byte, 1) == 1;
  }
  void give() const {
    if (write(ends_[1], "x", 1) != 1) {
      _exit(3);
    }
  }

 private:
  std::array<int, 2> ends_{};
};

// Answers every byte until the writer is closed.
class Echo {
 public:
  Echo()
      : thread_([this] {
          while (there_.take()) {
            back_.give();
          }
        }) {}
  ~Echo() {
    there_.close_writer();
    thread_.join();
  }
  Echo(const Echo&) = delete;
  Echo& operator=(const Echo&) = delete;

  void pass(long times) {
    for (long i = 0; i < times; ++i) {
      there_.give();
      static_cast<void>(back_.take());
    }
  }

 private:
  Pipe there_, back_;
  std::thread thread_;
};

// A child that burns, tells so, and ends; when `life` is given, only once its writer is closed.
pid_t fork_burning(long milliseconds, Pipe* life) {
  Pipe burnt;
  const pid_t child = fork();
  if (child == 0) {
    burn(milliseconds);
    burnt.give();
    if (life != nullptr) {
      life->close_writer();
      static_cast<void>(life->take());
    }
    _exit(0);
  }
  static_cast<void>(burnt.take());
  return child;
}

std::vector<int> allowed_cores() {
  cpu_set_t allowed;
  sched_getaffinity(0, sizeof allowed, &allowed);
  std::vector<int> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &allowed)) {
      cores.push_back(cpu);
    }
  }
  return cores;
}

void keep_to_core(int cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  sched_setaffinity(0, sizeof one, &one);
}

}  // namespace

int main() {
  const std::vector<int> cores = allowed_cores();
  keep_to_core(cores.front());  // there a thread that waits for another must be switched from
  Pipe life;
  Echo living;
  void* pages = nullptr;
  std::size_t size = 0;
  std::string command;
  long amount = 0;
  long more = 0;
  while (std::cin >> command) {
    if (command == "burn" && std::cin >> amount >> more) {
      burn_in_threads(amount, more);
    } else if (command == "fork-burn" && std::cin >> amount) {
      waitpid(fork_burning(amount, nullptr), nullptr, 0);
    } else if (command == "keep-burn" && std::cin >> amount) {
      fork_burning(amount, &life);
    } else if (command == "touch" && std::cin >> amount) {
      const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
      size = static_cast<std::size_t>(amount) * page;
      pages = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      madvise(pages, size, MADV_NOHUGEPAGE);
      for (std::size_t at = 0; at < size; at += page) {
        static_cast<volatile char*>(pages)[at] = 1;
      }
    } else if (command == "drop") {
      munmap(pages, size);
    } else if (command == "migrate" && std::cin >> amount) {
      for (long i = 0; i < amount; ++i) {
        keep_to_core(i % 2 == 0 ? cores.back() : cores.front());
      }
    } else if (command == "pass" && std::cin >> amount) {
      Echo passing;
      std::thread([&] { passing.pass(amount); }).join();
    } else if (command == "pass-live" && std::cin >> amount) {
      living.pass(amount);
    } else {
      return 2;
    }
    std::cout << "done" << std::endl;
  }
  life.close_writer();
  return 0;
}
