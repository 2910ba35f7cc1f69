#include "harness/load/recorder.hpp"

#include <algorithm>

namespace spawnpool::load {
namespace {

constexpr std::int64_t interval_ns = Recorder::interval.count();

// To the nearest microsecond; a clock that differs between cores by a few must not give an hour.
std::uint64_t microseconds(std::int64_t from, std::int64_t to) {
  return to <= from ? 0 : static_cast<std::uint64_t>(to - from + 500) / 1000;
}

}  // namespace

void Recorder::set_window(std::int64_t begin, std::int64_t end) {
  begin_ = begin;
  end_ = end;
  intervals.resize(static_cast<std::size_t>((end - begin + interval_ns - 1) / interval_ns));
}

void Recorder::end_early(std::int64_t now) {
  end_ = std::clamp(now, begin_, end_);
  intervals.resize(static_cast<std::size_t>((end_ - begin_ + interval_ns - 1) / interval_ns));
}

Interval* Recorder::interval_at(std::int64_t time) {
  return measured(time) ? &intervals[static_cast<std::size_t>((time - begin_) / interval_ns)]
                        : nullptr;
}

void Recorder::record(Histogram& histogram, std::int64_t from, std::int64_t to) {
  if (!histogram.record(microseconds(from, to))) {
    ++beyond_range;
  }
}

void Recorder::due(std::int64_t intended) {
  counts.intended += measured(intended) ? 1 : 0;
}

void Recorder::dropped(std::int64_t intended) {
  counts.dropped += measured(intended) ? 1 : 0;
}

void Recorder::sent(std::int64_t intended, std::int64_t sent, bool waited) {
  if (Interval* const now = interval_at(sent)) {
    ++now->sent;
  }
  if (!measured(intended)) {
    return;
  }
  ++counts.sent;
  if (!open_loop_) {
    return;
  }
  record(wait, intended, sent);
  if (!waited) {
    record(lag, intended, sent);
  }
}

void Recorder::answered(const Answer& answer) {
  if (Interval* const now = interval_at(answer.done)) {
    ++answers_in_window;
    ++now->answered;
    now->errors += answer.wrong ? 1 : 0;
    const std::uint64_t latency_us = microseconds(answer.intended, answer.done);
    now->latency_sum_us += latency_us;
    now->latency_max_us = std::max(now->latency_max_us, latency_us);
  } else if (answer.done < begin_) {
    ++warmup_answers;
    warmup_errors += answer.wrong ? 1 : 0;
  }
  if (!measured(answer.intended)) {
    return;
  }
  ++counts.answered;
  ++status_classes[std::min<std::size_t>(answer.status / 100, status_classes.size() - 1)];
  rejected += answer.status == 429 || answer.status == 503 ? 1 : 0;
  if (answer.wrong) {
    constexpr auto status = static_cast<std::size_t>(ErrorClass::status);
    if (errors[status]++ == 0) {
      examples[status] = "an answer with status " + std::to_string(answer.status) +
                         " or a body of another size was not expected";
    }
  }
  record(latency, answer.intended, answer.done);
  record(first_byte, answer.sent, answer.first_byte);
}

void Recorder::failed(ErrorClass error, std::string_view what, std::int64_t intended,
                      std::int64_t now) {
  if (Interval* const at = interval_at(now)) {
    ++at->errors;
  }
  warmup_errors += now < begin_ ? 1 : 0;
  if (!measured(intended)) {
    return;
  }
  ++counts.failed;
  const auto index = static_cast<std::size_t>(error);
  if (errors[index]++ == 0) {
    examples[index] = what;
  }
  if (error == ErrorClass::timeout) {
    record(latency, intended, now);
  }
}

void Recorder::stray(std::string_view what, std::int64_t now) {
  if (Interval* const at = interval_at(now)) {
    ++at->errors;
    constexpr auto protocol = static_cast<std::size_t>(ErrorClass::protocol);
    if (errors[protocol]++ == 0) {
      examples[protocol] = what;
    }
  } else if (now < begin_) {
    ++warmup_errors;
  }
}

void Recorder::unfinished(std::int64_t intended, std::int64_t now) {
  if (measured(intended)) {
    ++counts.unfinished;
    record(latency, intended, now);
  }
}

void Recorder::unsent(std::int64_t intended, std::int64_t now) {
  if (measured(intended)) {
    ++counts.unsent;
    record(latency, intended, now);
  }
}

void Recorder::sample(std::int64_t now, std::uint64_t in_flight, std::uint64_t backlog) {
  const std::int64_t over = std::clamp(now, begin_, end_) - begin_;
  const std::size_t ended =
      now >= end_ ? intervals.size() : static_cast<std::size_t>(over / interval_ns);
  for (; sampled_ < ended; ++sampled_) {
    intervals[sampled_].in_flight = in_flight;
    intervals[sampled_].backlog = backlog;
  }
}

void Recorder::merge(const Recorder& other) {
  counts.intended += other.counts.intended;
  counts.sent += other.counts.sent;
  counts.answered += other.counts.answered;
  counts.failed += other.counts.failed;
  counts.unfinished += other.counts.unfinished;
  counts.dropped += other.counts.dropped;
  counts.unsent += other.counts.unsent;
  for (std::size_t i = 0; i < errors.size(); ++i) {
    errors[i] += other.errors[i];
    if (examples[i].empty()) {
      examples[i] = other.examples[i];
    }
  }
  for (std::size_t i = 0; i < status_classes.size(); ++i) {
    status_classes[i] += other.status_classes[i];
  }
  rejected += other.rejected;
  answers_in_window += other.answers_in_window;
  warmup_answers += other.warmup_answers;
  warmup_errors += other.warmup_errors;
  beyond_range += other.beyond_range;
  latency.merge(other.latency);
  wait.merge(other.wait);
  lag.merge(other.lag);
  first_byte.merge(other.first_byte);
  intervals.resize(std::max(intervals.size(), other.intervals.size()));
  for (std::size_t i = 0; i < other.intervals.size(); ++i) {
    const Interval& from = other.intervals[i];
    Interval& to = intervals[i];
    to.sent += from.sent;
    to.answered += from.answered;
    to.errors += from.errors;
    to.latency_sum_us += from.latency_sum_us;
    to.latency_max_us = std::max(to.latency_max_us, from.latency_max_us);
    to.in_flight += from.in_flight;
    to.backlog += from.backlog;
  }
}

}  // namespace spawnpool::load
