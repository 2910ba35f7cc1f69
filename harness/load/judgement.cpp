#include "harness/load/judgement.hpp"

#include <cstdio>

namespace spawnpool::load {
namespace {

// A generator this busy sends late more often than not.
constexpr double most_busy = 0.97;
constexpr double least_sent = 0.99;

double per_thread_time(nanoseconds part, const LoadOutcome& outcome) {
  const double whole = std::chrono::duration<double>(outcome.window).count() *
                       static_cast<double>(outcome.workers.size());
  return whole > 0 ? std::chrono::duration<double>(part).count() / whole : 0;
}

template <class... Values>
std::string text(const char* format, Values... values) {
  char buffer[200];
  std::snprintf(buffer, sizeof(buffer), format, values...);  // NOLINT: a literal at every call
  return buffer;
}

}  // namespace

double cpu_utilization(const LoadOutcome& outcome) {
  return per_thread_time(outcome.total.cpu, outcome);
}

double busy_share(const LoadSpec& spec, const LoadOutcome& outcome) {
  return spec.pacing == Pacing::busy_poll ? per_thread_time(outcome.total.busy, outcome)
                                          : cpu_utilization(outcome);
}

std::vector<Doubt> judge(const LoadSpec& spec, const LoadOutcome& outcome, bool interrupted) {
  std::vector<Doubt> doubts;
  const Counts& counts = outcome.total.recorder.counts;
  if (interrupted) {
    doubts.push_back({"interrupted", "ended by a signal before its time"});
  }
  if (outcome.total.recorder.answers_in_window == 0) {
    doubts.push_back({"no-answer", "not one request was answered in the window"});
  }
  if (outcome.total.background_missing > 0) {
    doubts.push_back(
        {"background-missed",
         text("%llu of %u background clients were not connected, or had no answer, when the "
              "load began",
              static_cast<unsigned long long>(outcome.total.background_missing),
              spec.background.total())});
  }
  if (!spec.open_loop) {
    return doubts;
  }
  const double busy = busy_share(spec, outcome);
  if (busy >= most_busy) {
    doubts.push_back({"generator-bound",
                      text("the generator was busy for %.0f %% of the time: offer less, or give it "
                           "more --cpus",
                           100 * busy)});
  }
  if (static_cast<double>(counts.sent) < least_sent * static_cast<double>(counts.intended)) {
    doubts.push_back(
        {"rate-missed",
         text("%.1f %% of the arrivals were sent: no connection was free for the rest",
              100 * static_cast<double>(counts.sent) / static_cast<double>(counts.intended))});
  }
  return doubts;
}

}  // namespace spawnpool::load
