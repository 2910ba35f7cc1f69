// One generator thread: an event loop over its own connections that shares nothing with the others.
#pragma once

#include <sys/epoll.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <queue>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "harness/load/arrivals.hpp"
#include "harness/load/background.hpp"
#include "harness/load/client_connection.hpp"
#include "harness/load/load_spec.hpp"
#include "harness/load/random_request.hpp"
#include "harness/load/recorder.hpp"

namespace spawnpool::load {

// What a thread lets the others see ten times a second.
struct alignas(64) LiveCounts {
  std::atomic<std::uint64_t> answered{0};
  std::atomic<std::uint64_t> errors{0};
};

// What a thread found.
struct WorkerResult {
  Recorder recorder;
  nanoseconds cpu{};   // of this thread in the window
  nanoseconds busy{};  // of the window, not spent in polls that found nothing; when busy polling
  // Of the turns that found nothing to do, those longer than 100 us (longest_idle_turn_ns), from
  // the first request to the end of the drain: something else had the CPU. When busy polling.
  nanoseconds away{};
  std::uint64_t connections_opened = 0;
  std::uint64_t reconnects = 0;  // opened again after a failure, or after the server closed
  std::uint64_t bytes_received = 0;
  BackgroundCounts background;
  std::uint64_t background_missing = 0;  // background clients that were not there at the start
};

// connect() and then run(), both on the thread that is to generate; the object itself may be made
// elsewhere.
class Worker {
 public:
  // Takes the share `index` of spec.threads(): connections, arrivals, sources, and, the first of
  // them, the background. `stop` ends the load early when it is set.
  Worker(const LoadSpec& spec, unsigned index, const std::atomic<bool>& stop);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Opens the connections that are kept, some at a time, and the background's. Returns when each is
  // open or has failed, at the latest after the spec's time-out. Throws std::system_error when
  // epoll or a thread's CPU cannot be had.
  void connect();

  // Loads from `start` on: warm-up, window, drain.
  void run(Clock::time_point start);

  const LiveCounts& live() const { return live_; }
  // After run():
  nanoseconds window() const { return nanoseconds(std::max<std::int64_t>(end_ - begin_, 0)); }
  WorkerResult take_result();

 private:
  using Connection = ClientConnection;
  struct Wake {
    std::int64_t due;
    std::uint32_t index;
    bool operator>(const Wake& other) const { return due > other.due; }
  };
  // The last whole answer to a kind of request: one with the same bytes says the same, without
  // being parsed again.
  struct KnownAnswer {
    std::string bytes;
    unsigned status = 0;
    bool wrong = false;
    bool keep_alive = true;
  };

  // The loop (worker.cpp).
  void ramp_up(std::int64_t deadline);
  int wait_for_events();
  void handle_events(int count);
  void tick(std::int64_t now);
  void check_timeouts(std::int64_t now);
  void send_due(std::int64_t now);
  void wake_due(std::int64_t now);
  bool over(std::int64_t now) const;
  void give_up(std::int64_t now);

  // A connection, in the order of its life (worker_connection.cpp).
  void open(Connection& connection, std::int64_t now);
  bool connected(Connection& connection);
  void ask(Connection& connection, std::int64_t intended, bool waited);
  void flush(Connection& connection, std::int64_t now);
  void mark_sent(Connection& connection, std::int64_t now);
  void enroll(Connection& connection, bool for_writing);
  void watch(Connection& connection, bool for_writing);
  void readable(Connection& connection, bool hung_up);
  void consume(Connection& connection, std::string_view bytes, std::int64_t now);
  bool take_known(Connection& connection, std::string_view& bytes, std::int64_t now);
  bool is_wrong(const AnswerReader& answer) const;
  void finish(Connection& connection, unsigned status, bool wrong, std::int64_t now);
  void ended(Connection& connection, std::int64_t now);
  void rest(Connection& connection, std::int64_t now);
  void fail(Connection& connection, ErrorClass error, std::string_view what, std::int64_t now);
  void free(Connection& connection, std::int64_t now);
  void offer(Connection& connection);
  bool has_room(const Connection& connection) const;

  InFlight& slot(Connection& connection, std::uint32_t position) {
    return in_flight_[index_of(connection) * spec_.pipeline +
                      (connection.first + position) % spec_.pipeline];
  }
  std::uint32_t index_of(const Connection& connection) const {
    return static_cast<std::uint32_t>(&connection - connections_.get());
  }
  std::span<Connection> connections() { return {connections_.get(), connection_count_}; }

  const LoadSpec& spec_;
  const unsigned index_;
  const std::atomic<bool>& stop_;
  const std::uint32_t connection_count_;
  const std::unique_ptr<Connection[]> connections_;
  std::vector<InFlight> in_flight_;  // a ring of spec_.pipeline for each connection
  std::vector<KnownAnswer> known_;   // by request
  RandomRequest pick_;
  std::optional<ArrivalSequence> arrivals_;  // in open loop
  std::size_t next_source_;
  std::vector<epoll_event> events_;
  static constexpr std::size_t buffer_size = 64 * 1024;
  const std::unique_ptr<char[]> buffer_;
  int epoll_ = -1;
  std::optional<BackgroundClients> background_;

  bool running_ = false;
  std::int64_t start_ = 0, begin_ = 0, end_ = 0, give_up_ = 0;
  std::int64_t next_arrival_ = 0;
  std::int64_t next_tick_ = 0;
  std::uint64_t outstanding_ = 0;     // requests under way
  std::deque<std::int64_t> backlog_;  // intended send times of arrivals that wait
  std::deque<std::uint32_t> free_;    // connections with room for a request, the longest so first
  std::priority_queue<Wake, std::vector<Wake>, std::greater<>> wakes_;  // thinking, or pausing
  std::vector<const std::string*> asked_;  // the requests that the next flush() sends
  std::uint32_t swept_ = 0;                // up to where time-outs were looked for
  bool worked_ = false;                    // since the loop's last turn
  std::int64_t away_ns_ = 0;
  std::int64_t idle_ns_ = 0;  // in turns that found nothing to do, in the window
  std::optional<nanoseconds> cpu_at_begin_, cpu_at_end_;

  LiveCounts live_;
  WorkerResult result_;
};

}  // namespace spawnpool::load
