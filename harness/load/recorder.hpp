// What one generator thread writes down about its requests.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/load/histogram.hpp"
#include "harness/load/load_spec.hpp"

namespace spawnpool::load {

enum class ErrorClass : std::uint8_t { connect, read, write, timeout, status, protocol };
inline constexpr std::array<std::string_view, 6> error_class_names = {
    "connect", "read", "write", "timeout", "status", "protocol"};

// Requests by intended send time within the window:
//   intended = sent + dropped + unsent, sent = answered + failed + unfinished
struct Counts {
  std::uint64_t intended = 0;
  std::uint64_t sent = 0;      // begun: those whose connection could not be made are among them
  std::uint64_t answered = 0;  // whatever the status
  std::uint64_t failed = 0;
  std::uint64_t unfinished = 0;  // without an answer when the drain was over
  std::uint64_t dropped = 0;     // the backlog was full
  std::uint64_t unsent = 0;      // still in the backlog when the drain was over
};

// One step of the time series, of what happened in it; the last two are as they were at its end.
struct Interval {
  std::uint64_t sent = 0;
  std::uint64_t answered = 0;
  std::uint64_t errors = 0;
  std::uint64_t latency_sum_us = 0;
  std::uint64_t latency_max_us = 0;
  std::uint64_t in_flight = 0;
  std::uint64_t backlog = 0;
};

// A thread's record, and, merged, the record of all. Not thread-safe.
class Recorder {
 public:
  static constexpr nanoseconds interval = std::chrono::milliseconds(50);

  // Waiting is of interest in open loop only.
  explicit Recorder(bool open_loop = true) : open_loop_(open_loop) {}

  // The window is [begin, end), in nanoseconds of Clock.
  void set_window(std::int64_t begin, std::int64_t end);
  // The load was ended before its time.
  void end_early(std::int64_t now);

  // A request was due at `intended`; then either it was dropped, or begun at `sent`, where `waited`
  // says that it found no connection free.
  void due(std::int64_t intended);
  void dropped(std::int64_t intended);
  void sent(std::int64_t intended, std::int64_t sent, bool waited);

  struct Answer {
    std::int64_t intended, sent, first_byte, done;
    unsigned status;
    bool wrong;  // not what was expected
  };
  void answered(const Answer& answer);

  // A request failed at `now`; `what` is kept when it is the first of its class.
  void failed(ErrorClass error, std::string_view what, std::int64_t intended, std::int64_t now);

  // Bytes came that no request had asked for: a protocol error, but not a failed request. Counted
  // by when they came.
  void stray(std::string_view what, std::int64_t now);

  // At the end of the drain: a request without an answer, and one that was never sent.
  void unfinished(std::int64_t intended, std::int64_t now);
  void unsent(std::int64_t intended, std::int64_t now);

  // Ends the intervals up to `now`.
  void sample(std::int64_t now, std::uint64_t in_flight, std::uint64_t backlog);

  void merge(const Recorder& other);

  Counts counts;
  std::array<std::uint64_t, error_class_names.size()> errors{};
  std::array<std::string, error_class_names.size()> examples;
  std::array<std::uint64_t, 6> status_classes{};  // [2]: 2xx
  std::uint64_t rejected = 0;                     // answers 429 and 503
  std::uint64_t answers_in_window = 0;            // received in the window, whenever asked for
  std::uint64_t warmup_answers = 0;               // received before the window
  std::uint64_t warmup_errors = 0;
  std::uint64_t beyond_range = 0;  // latencies of more than an hour, in no histogram
  Histogram latency;               // intended -> done; -> given up where no answer came in time
  Histogram wait;                  // intended -> sent
  Histogram lag;                   // intended -> sent of those that found a connection free
  Histogram first_byte;            // sent -> first byte of the answer
  std::vector<Interval> intervals;

 private:
  bool measured(std::int64_t intended) const { return intended >= begin_ && intended < end_; }
  Interval* interval_at(std::int64_t time);
  void record(Histogram& histogram, std::int64_t from, std::int64_t to);

  bool open_loop_;
  std::int64_t begin_ = 0;
  std::int64_t end_ = 0;
  std::size_t sampled_ = 0;  // intervals that are over
};

}  // namespace spawnpool::load
