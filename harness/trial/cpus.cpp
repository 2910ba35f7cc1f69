#include "harness/trial/cpus.hpp"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>

#include "servers/cli/cli.hpp"

namespace spawnpool::trial {
namespace {

std::string listed(const std::vector<int>& cpus) {
  std::string text;
  for (const int cpu : cpus) {
    text += (text.empty() ? "" : ", ") + std::to_string(cpu);
  }
  return text;
}

// The kernel's list format: "0-3,8".
std::vector<int> parse_cpu_list(const std::string& text) {
  std::vector<int> cpus;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    int first = 0;
    const auto head = std::from_chars(at, end, first);
    if (head.ec != std::errc{}) {
      break;
    }
    int last = first;
    at = head.ptr;
    if (at < end && *at == '-') {
      const auto tail = std::from_chars(at + 1, end, last);
      if (tail.ec != std::errc{}) {
        break;
      }
      at = tail.ptr;
    }
    for (int cpu = first; cpu <= last; ++cpu) {
      cpus.push_back(cpu);
    }
    if (at < end && *at == ',') {
      ++at;
    } else {
      break;
    }
  }
  return cpus;
}

}  // namespace

std::vector<int> affinity_mask() {
  cpu_set_t mask{};
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) {
    throw std::system_error(errno, std::generic_category(), "sched_getaffinity");
  }
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<unsigned>(cpu), &mask)) {
      cpus.push_back(cpu);
    }
  }
  return cpus;
}

std::vector<int> smt_siblings(int cpu) {
  std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) +
                     "/topology/thread_siblings_list");
  std::string line;
  std::getline(file, line);
  std::vector<int> siblings = parse_cpu_list(line);
  if (std::find(siblings.begin(), siblings.end(), cpu) == siblings.end()) {
    siblings = {cpu};
  }
  std::sort(siblings.begin(), siblings.end());
  return siblings;
}

Cpus choose_cpus(const std::optional<CpusSpec>& wish, const std::vector<int>& allowed,
                 const std::function<std::vector<int>(int)>& siblings) {
  Cpus cpus;
  if (wish) {
    for (const auto* list : {&wish->server, &wish->generator}) {
      for (const int cpu : *list) {
        if (std::find(allowed.begin(), allowed.end(), cpu) == allowed.end()) {
          throw cli::UsageError("cpus: CPU " + std::to_string(cpu) +
                                " is not to be had; allowed: " + listed(allowed));
        }
      }
    }
    cpus.server = wish->server;
    cpus.generator = wish->generator;
  } else {
    cpus.server = {allowed.front()};
    const auto server_core = siblings(allowed.front());
    const auto other = std::find_if(allowed.begin(), allowed.end(), [&server_core](int cpu) {
      return std::find(server_core.begin(), server_core.end(), cpu) == server_core.end();
    });
    // Of one core's hardware threads, a second one is still better than the same.
    cpus.generator = {other != allowed.end() ? *other : allowed.back()};
  }
  for (const int server : cpus.server) {
    const auto core = siblings(server);
    cpus.shared =
        cpus.shared || std::any_of(cpus.generator.begin(), cpus.generator.end(), [&core](int cpu) {
          return std::find(core.begin(), core.end(), cpu) != core.end();
        });
  }
  return cpus;
}

std::vector<int> bystander_cpus(const Cpus& taken, const std::vector<int>& allowed,
                                const std::function<std::vector<int>(int)>& siblings) {
  std::vector<int> free = allowed;
  for (const auto* cpus : {&taken.server, &taken.generator}) {
    for (const int cpu : *cpus) {
      for (const int thread : siblings(cpu)) {
        std::erase(free, thread);
      }
    }
  }
  return free.empty() ? taken.generator : free;
}

void pin_self(const std::vector<int>& cpus) {
  cpu_set_t mask{};
  for (const int cpu : cpus) {
    CPU_SET(static_cast<unsigned>(cpu), &mask);
  }
  if (sched_setaffinity(0, sizeof mask, &mask) != 0) {
    throw std::system_error(errno, std::generic_category(), "sched_setaffinity");
  }
}

}  // namespace spawnpool::trial
