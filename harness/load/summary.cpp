#include "harness/load/summary.hpp"

#include <iomanip>

#include "harness/load/statistics.hpp"
#include "harness/load/steady_state.hpp"

namespace spawnpool::load {
namespace {

constexpr double nearly_all = 0.97;

void print_latency(std::ostream& out, const char* name, const Histogram& histogram) {
  if (const auto found = statistics_of(histogram)) {
    out << "  " << std::left << std::setw(12) << name << std::right << std::fixed
        << std::setprecision(0);
    for (const double value :
         {found->mean, found->p50, found->p90, found->p99, found->p99_9, found->max}) {
      out << std::setw(10) << value;
    }
    out << '\n';
  }
}

void print_errors(std::ostream& out, const Recorder& recorder) {
  for (std::size_t i = 0; i < recorder.errors.size(); ++i) {
    if (recorder.errors[i] > 0) {
      out << "  " << recorder.errors[i] << ' ' << error_class_names[i]
          << " errors, the first: " << recorder.examples[i] << '\n';
    }
  }
}

}  // namespace

void print_summary(std::ostream& out, const LoadSpec& spec, const LoadOutcome& outcome,
                   const std::vector<Doubt>& doubts) {
  const Recorder& recorder = outcome.total.recorder;
  const Counts& counts = recorder.counts;
  out << std::fixed << std::setprecision(0) << throughput(outcome) << " answers per second over "
      << std::setprecision(1) << std::chrono::duration<double>(outcome.window).count() << " s, "
      << spec.connections << " connections";
  if (spec.open_loop) {
    out << ", open loop at " << std::setprecision(0) << spec.open_loop->rate << " per second";
  }
  out << "\n  latency, us       mean       p50       p90       p99     p99.9       max\n";
  print_latency(out, "answer", recorder.latency);
  print_latency(out, "first byte", recorder.first_byte);
  if (spec.open_loop) {
    print_latency(out, "wait to send", recorder.wait);
  }
  out << "  requests: " << counts.sent << " sent, " << counts.answered << " answered, "
      << counts.failed << " failed, " << counts.unfinished << " unfinished";
  if (spec.open_loop) {
    out << ", " << counts.unsent << " unsent, " << counts.dropped << " dropped";
  }
  out << '\n';
  if (spec.warmup > nanoseconds::zero()) {
    out << "  not among them, from the warm-up of " << std::setprecision(1)
        << std::chrono::duration<double>(spec.warmup).count()
        << " s before: " << recorder.warmup_answers << " answers, " << recorder.warmup_errors
        << " errors\n";
  }
  print_errors(out, recorder);
  if (recorder.beyond_range > 0) {
    out << "  " << recorder.beyond_range << " latencies of more than an hour are left out above\n";
  }
  if (recorder.rejected > 0) {
    out << "  " << recorder.rejected << " refused by the server with 429 or 503\n";
  }
  for (const Change& change : judge_steady_state(recorder.intervals, outcome.window).evidence) {
    out << "  not steady: a " << change.kind << " in " << change.series << " from "
        << std::setprecision(0) << change.before << " to " << change.after << " at "
        << std::setprecision(2)
        << std::chrono::duration<double>(change.at * Recorder::interval).count() << " s\n";
  }
  const double busy = busy_share(spec, outcome);
  if (!spec.open_loop && busy >= nearly_all) {
    out << "  the generator was busy for " << std::setprecision(0) << 100 * busy
        << " % of the time: this may be its limit, not the server's\n";
  }
  for (const Doubt& doubt : doubts) {
    out << "  invalid: " << doubt.code << ": " << doubt.message << '\n';
  }
}

void print_saturation(std::ostream& out, const Condition& bound, const Saturation& saturation) {
  out << "  offered   achieved   p50, us   p99, us   " << bound.text << '\n'
      << std::fixed << std::setprecision(0);
  const auto print_us = [&out](std::optional<double> value) {
    if (value) {
      out << std::setw(10) << *value;
    } else {
      out << std::setw(10) << '-';
    }
  };
  for (const SaturationStep& step : saturation.steps) {
    out << std::setw(9) << step.offered_rps << std::setw(11) << step.achieved_rps;
    print_us(step.p50_us);
    print_us(step.p99_us);
    out << "   " << (step.holds ? "holds" : step.reason) << '\n';
  }
  if (saturation.rate_rps) {
    out << "highest rate: " << *saturation.rate_rps << " per second\n";
  } else {
    out << "no rate that was tried holds it\n";
  }
}

}  // namespace spawnpool::load
