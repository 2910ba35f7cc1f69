#include "harness/load/worker.hpp"

#include <sched.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <limits>
#include <system_error>

#include "harness/load/monotonic.hpp"

namespace spawnpool::load {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t tick_ns = nanoseconds(10ms).count();
// Every connection is looked at once in so many ticks, so that no tick is long.
constexpr std::uint32_t sweep_ticks = 10;
// Below what servers listen with by default, so that the kernel drops no handshake.
constexpr std::size_t most_connecting = 100;
constexpr std::size_t events_at_once = 256;
// A turn that finds nothing to do takes about a microsecond, and an interrupt of a virtual machine
// up to some tens.
constexpr std::int64_t longest_idle_turn_ns = nanoseconds(100us).count();

nanoseconds thread_cpu_time() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
}

std::uint32_t share_of(std::uint32_t total, unsigned index, std::size_t threads) {
  const auto count = static_cast<std::uint32_t>(threads);
  return total / count + (index < total % count ? 1 : 0);
}

}  // namespace

Worker::Worker(const LoadSpec& spec, unsigned index, const std::atomic<bool>& stop)
    : spec_(spec),
      index_(index),
      stop_(stop),
      connection_count_(share_of(spec.connections, index, spec.threads())),
      connections_(std::make_unique<Connection[]>(connection_count_)),
      in_flight_(std::size_t{connection_count_} * spec.pipeline),
      known_(spec.requests.size()),
      pick_(spec.requests, (spec.open_loop ? spec.open_loop->seed : 0) + index),
      next_source_(index),
      events_(events_at_once),
      buffer_(std::make_unique_for_overwrite<char[]>(buffer_size)) {
  result_.recorder = Recorder(spec.open_loop.has_value());
  if (spec.open_loop) {
    arrivals_.emplace(*spec.open_loop, index, static_cast<unsigned>(spec.threads()));
  }
}

Worker::~Worker() {
  if (epoll_ >= 0) {
    ::close(epoll_);
  }
}

void Worker::connect() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) {
    throw std::system_error(errno, std::generic_category(), "epoll");
  }
  if (!spec_.cpus.empty()) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(spec_.cpus[index_]), &set);
    if (sched_setaffinity(0, sizeof(set), &set) != 0) {
      throw std::system_error(errno, std::generic_category(),
                              "CPU " + std::to_string(spec_.cpus[index_]));
    }
  }
  prctl(PR_SET_TIMERSLACK, 1);  // ns: a sleep is to end when it is due
  if (index_ == 0 && spec_.background.total() > 0) {
    background_.emplace(spec_);
  }
  // The background first: it is what the measured load is to find there.
  const std::int64_t background_deadline = now_ns() + spec_.timeout.count();
  while (background_ && !background_->settled() && now_ns() < background_deadline &&
         !stop_.load()) {
    background_->tick(now_ns());
    epoll_wait(epoll_, events_.data(), 1, 1);  // of no event in particular: a millisecond's wait
  }
  result_.background_missing = background_ ? background_->missing() : 0;
  if (spec_.requests_per_connection == 0) {
    ramp_up(now_ns() + spec_.timeout.count());
  }
}

void Worker::ramp_up(std::int64_t deadline) {
  std::size_t begun = 0;
  for (;;) {
    const std::int64_t now = now_ns();
    const auto all = connections();
    auto connecting = static_cast<std::size_t>(
        std::count_if(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(begun),
                      [](const auto& c) { return c.state == Connection::State::connecting; }));
    for (; begun < all.size() && connecting < most_connecting; ++begun) {
      open(all[begun], now);
      if (all[begun].state == Connection::State::connecting) {
        enroll(all[begun], /*for_writing=*/true);
        ++connecting;
      }
    }
    if ((begun == all.size() && connecting == 0) || now >= deadline || stop_.load()) {
      return;
    }
    handle_events(epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()), 10));
  }
}

void Worker::run(Clock::time_point start) {
  start_ = start.time_since_epoch().count();
  begin_ = start_ + spec_.warmup.count();
  end_ = begin_ + spec_.duration.count();
  give_up_ = end_ + spec_.timeout.count();
  result_.recorder.set_window(begin_, end_);
  next_arrival_ = arrivals_ ? start_ + arrivals_->next().count() : never;
  next_tick_ = 0;
  while (now_ns() < start_) {
  }
  running_ = true;
  for (Connection& connection : connections()) {
    free(connection, now_ns());
  }

  std::int64_t last = now_ns();
  for (;;) {
    const std::int64_t now = now_ns();
    if (!std::exchange(worked_, false)) {
      if (last >= begin_ && now <= end_) {
        idle_ns_ += now - last;
      }
      if (now - last > longest_idle_turn_ns) {
        away_ns_ += now - last;
      }
    }
    last = now;
    if (over(now)) {
      give_up(now);
      result_.away = nanoseconds(away_ns_);
      return;
    }
    if (now >= next_tick_) {
      tick(now);
    }
    wake_due(now);
    send_due(now);
    handle_events(wait_for_events());
  }
}

// How many events there are, after waiting for some as the pacing has it.
int Worker::wait_for_events() {
  const auto room = static_cast<int>(events_.size());
  if (spec_.pacing == Pacing::busy_poll) {
    return epoll_wait(epoll_, events_.data(), room, 0);
  }
  const std::int64_t due = std::min({next_tick_, next_arrival_ < end_ ? next_arrival_ : never,
                                     wakes_.empty() ? never : wakes_.top().due});
  const std::int64_t left = std::max<std::int64_t>(due - now_ns(), 0);
  const timespec timeout{left / 1'000'000'000, left % 1'000'000'000};
  return epoll_pwait2(epoll_, events_.data(), room, &timeout, nullptr);
}

void Worker::handle_events(int count) {
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events_[static_cast<std::size_t>(i)];
    Connection& connection = connections_[static_cast<std::uint32_t>(event.data.u64)];
    if (connection.generation != event.data.u64 >> 32U) {
      continue;  // of a socket that is closed by now
    }
    worked_ = true;
    if (connection.state == Connection::State::connecting && !connected(connection)) {
      continue;
    }
    if ((event.events & EPOLLOUT) != 0 && !connection.unsent.empty()) {
      flush(connection, now_ns());
    }
    const bool hung_up = (event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if (connection.generation == event.data.u64 >> 32U &&
        (hung_up || (event.events & EPOLLIN) != 0)) {
      readable(connection, hung_up);
    }
    if (arrivals_ && running_) {
      send_due(now_ns());  // an arrival does not wait until all events are handled
    }
  }
}

void Worker::tick(std::int64_t now) {
  worked_ = true;
  if (now >= begin_ && !cpu_at_begin_) {
    cpu_at_begin_ = thread_cpu_time();
  }
  if (stop_.load(std::memory_order_relaxed) && now < end_) {
    end_ = now;
    give_up_ = std::min(give_up_, now + nanoseconds(1s).count());
    result_.recorder.end_early(now);
  }
  if (now >= end_ && cpu_at_begin_ && !cpu_at_end_) {
    cpu_at_end_ = thread_cpu_time();
    result_.cpu = *cpu_at_end_ - *cpu_at_begin_;
    result_.busy = nanoseconds(end_ - begin_ - idle_ns_);
  }
  result_.recorder.sample(now, outstanding_, backlog_.size());
  live_.answered.store(result_.recorder.answers_in_window, std::memory_order_relaxed);
  live_.errors.store(result_.recorder.counts.failed, std::memory_order_relaxed);
  check_timeouts(now);
  if (background_) {
    background_->tick(now);
  }
  next_tick_ = now + tick_ns;
  for (const std::int64_t phase : {begin_, end_}) {
    if (phase > now) {
      next_tick_ = std::min(next_tick_, phase);
    }
  }
}

void Worker::check_timeouts(std::int64_t now) {
  const std::uint32_t count = connection_count_ / sweep_ticks + 1;
  for (std::uint32_t i = 0; i < std::min(count, connection_count_); ++i) {
    swept_ = (swept_ + 1) % connection_count_;
    Connection& connection = connections_[swept_];
    if (connection.in_flight == 0) {
      continue;
    }
    const std::int64_t sent = slot(connection, 0).sent;
    const std::int64_t since =
        sent != 0 ? sent : std::max(connection.connecting_since, slot(connection, 0).intended);
    if (now - since > spec_.timeout.count()) {
      fail(connection, ErrorClass::timeout,
           sent != 0 ? "no whole answer in time" : "no connection in time", now);
    }
  }
}

// Gives each arrival that is due to a connection, to the backlog, or to nobody.
void Worker::send_due(std::int64_t now) {
  for (; next_arrival_ <= now && next_arrival_ < end_; now = now_ns()) {
    worked_ = true;
    const std::int64_t intended = next_arrival_;
    const nanoseconds next = arrivals_->next();
    next_arrival_ = next == nanoseconds::max() ? never : start_ + next.count();
    result_.recorder.due(intended);
    if (!free_.empty()) {
      Connection& connection = connections_[free_.front()];
      free_.pop_front();
      connection.offered = false;
      ask(connection, intended, /*waited=*/false);
      flush(connection, now);
      offer(connection);
    } else if (backlog_.size() < spec_.open_loop->backlog) {
      backlog_.push_back(intended);
    } else {
      result_.recorder.dropped(intended);
    }
  }
}

// Connections whose think time or pause after a failure is over.
void Worker::wake_due(std::int64_t now) {
  while (!wakes_.empty() && wakes_.top().due <= now) {
    Connection& connection = connections_[wakes_.top().index];
    wakes_.pop();
    worked_ = true;
    connection.pausing = false;
    free(connection, now);
  }
}

bool Worker::over(std::int64_t now) const {
  return now >= give_up_ || (now >= end_ && cpu_at_end_ && outstanding_ == 0 && backlog_.empty());
}

// What has no answer by the end of the drain is recorded with the age it has reached.
void Worker::give_up(std::int64_t now) {
  Recorder& recorder = result_.recorder;
  recorder.sample(now, outstanding_, backlog_.size());
  for (Connection& connection : connections()) {
    mark_sent(connection, now);
    for (std::uint32_t i = 0; i < connection.in_flight; ++i) {
      recorder.unfinished(slot(connection, i).intended, now);
    }
    connection.close();
  }
  for (const std::int64_t intended : backlog_) {
    recorder.unsent(intended, now);
  }
  if (background_) {
    result_.background = background_->counts();
  }
}

WorkerResult Worker::take_result() {
  return std::move(result_);
}

}  // namespace spawnpool::load
