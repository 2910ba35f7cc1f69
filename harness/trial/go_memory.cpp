#include "harness/trial/go_memory.hpp"

#include <signal.h>  // NOLINT(modernize-deprecated-headers): SIGUSR1 of POSIX

#include <nlohmann/json.hpp>

#include "harness/trial/failure.hpp"

namespace spawnpool::trial {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

constexpr auto patience = 1s;
constexpr auto poll_interval = 1ms;

// A field of a line of JSON; null when the line is none.
json field(const std::string& line, const char* name) {
  const json parsed = json::parse(line, nullptr, false);
  return parsed.is_object() ? parsed.value(name, json()) : json();
}

}  // namespace

bool tells_go_memory(Target& target) {
  const std::string& text = target.process().out().text();
  return field(text.substr(0, text.find('\n')), "memstats_signal") == SIGUSR1;
}

cost::AllocationCounts read_go_memory(Waiter& waiter, Target& target) {
  const std::string& text = target.process().out().text();
  const std::size_t before = text.size();
  target.process().signal(SIGUSR1);
  const auto deadline = Clock::now() + patience;
  while (text.find('\n', before) == std::string::npos) {
    if (Clock::now() >= deadline) {
      throw TrialFailure("wrong-answer", "the target prints no memstats on SIGUSR1");
    }
    target.require_running("in the accounting pass");
    waiter.sleep_until(Clock::now() + poll_interval);  // which reads what it prints, too
  }
  const std::string line = text.substr(before, text.find('\n', before) - before);
  const json mallocs = field(line, "mallocs");
  const json frees = field(line, "frees");
  const json bytes = field(line, "total_alloc");
  if (!mallocs.is_number_unsigned() || !frees.is_number_unsigned() || !bytes.is_number_unsigned()) {
    throw TrialFailure("wrong-answer", "the target's answer to SIGUSR1 is no memstats line");
  }
  cost::AllocationCounts counts;
  counts.allocations = mallocs.get<std::uint64_t>();
  counts.frees = frees.get<std::uint64_t>();
  counts.bytes = bytes.get<std::uint64_t>();
  return counts;
}

}  // namespace spawnpool::trial
