#include "harness/trial/instructions.hpp"

#include <charconv>
#include <optional>
#include <string_view>

#include "harness/trial/failure.hpp"
#include "harness/trial/http_client.hpp"

namespace spawnpool::trial {
namespace {

constexpr unsigned instructions_warmup = 2;

// The number in valgrind's "==17== Collected : 3270134".
std::optional<double> collected(const std::vector<std::string>& lines) {
  constexpr std::string_view key = "Collected : ";
  for (const std::string& line : lines) {
    const std::size_t at = line.find(key);
    if (at != std::string::npos) {
      double value = 0;
      const char* const begin = line.data() + at + key.size();
      if (std::from_chars(begin, line.data() + line.size(), value).ec == std::errc{}) {
        return value;
      }
    }
  }
  return std::nullopt;
}

struct Closes {};  // thrown when the target closes its connections after each answer

// The instructions of a target's whole life with this load after the warm-up.
std::optional<double> total(const PassContext& context, const std::string& valgrind,
                            unsigned connections, unsigned requests) {
  TargetLaunch launch{context.cpus};
  launch.wrapper = {valgrind, "--tool=callgrind", "--callgrind-out-file=/dev/null"};
  std::vector<std::string> words;
  run_pass(
      context, launch,
      [&](Target& target) {
        FixedLoad load(context, target, FixedLoad::Rest::between_requests);
        if (!load.serve(instructions_warmup, 2)) {
          throw Closes();
        }
        load.serve(connections, requests);
      },
      [&words](Target& target) { words = target.stderr_lines(); });
  return collected(words);
}

}  // namespace

InstructionsResult count_instructions(const PassContext& context) {
  if (!context.spec.accounting || !context.spec.accounting->instructions) {
    return InstructionsResult::missing("not asked for in this trial");
  }
  const auto valgrind = find_program("valgrind");
  if (!valgrind) {
    return InstructionsResult::missing("valgrind is not installed; apt-get install valgrind");
  }
  const AccountingSpec& size = *context.spec.accounting;
  try {
    const auto once = total(context, *valgrind, size.connections, 1);
    const auto twice = total(context, *valgrind, 2 * size.connections, 1);
    const auto often = total(context, *valgrind, size.connections, size.requests_per_connection);
    if (!once || !twice || !often) {
      return InstructionsResult::missing(
          "callgrind told no total: the target does not end as callgrind needs it to");
    }
    const double further = size.connections * (size.requests_per_connection - 1.0);
    const double per_request = (*often - *once) / further;
    return {per_request, (*twice - *once) / size.connections - per_request};
  } catch (const Closes&) {
    return InstructionsResult::missing(closes_connections);
  } catch (const TrialFailure& failure) {
    // It has just been measured without valgrind: what fails now is valgrind's with this target.
    return InstructionsResult::missing(std::string("the target does not run under valgrind: ") +
                                       failure.what());
  }
}

}  // namespace spawnpool::trial
