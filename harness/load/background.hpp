// Connections beside the measured load: idle, slow to send, slow to read.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <deque>
#include <vector>

#include "harness/load/answer_reader.hpp"
#include "harness/load/load_spec.hpp"

namespace spawnpool::load {

// One kind of background client, at the end of the load.
struct BackgroundCount {
  std::uint64_t open = 0;
  std::uint64_t answers = 0;
  std::uint64_t closed_by_server = 0;  // as it may; they are opened again
  std::uint64_t errors = 0;            // could not connect, or were answered with no HTTP
};

struct BackgroundCounts {
  BackgroundCount idle, slow_senders, slow_readers;
};

// All of them, driven from the loop of one generator thread: tick() never blocks, and does no more
// for an idle client than epoll does. None of what they do is measured. Not thread-safe.
class BackgroundClients {
 public:
  // Throws std::system_error when epoll cannot be had.
  explicit BackgroundClients(const LoadSpec& spec);
  ~BackgroundClients();
  BackgroundClients(const BackgroundClients&) = delete;
  BackgroundClients& operator=(const BackgroundClients&) = delete;

  // Does what is due; to be called every 10 ms or so. `now` in nanoseconds of Clock.
  void tick(std::int64_t now);

  // Whether each idle client has had its answer, each slow one is under way, or has failed to be.
  bool settled() const { return unsettled_ == 0; }

  // How many are not connected at this moment, or never came to what settled() asks of them.
  std::size_t missing() const;

  BackgroundCounts counts() const;

 private:
  enum class Kind : std::uint8_t { idle, slow_sender, slow_reader };
  struct Client {
    Kind kind = Kind::idle;
    int fd = -1;
    bool settled = false;
    bool sent_all = false;
    std::size_t sent = 0;   // bytes of the request
    std::int64_t due = 0;   // when it next does something
    std::int64_t paid = 0;  // a slow one: the time up to which its bytes have been moved
    AnswerReader reader;
  };

  void open(Client& client, std::int64_t now);
  void act(Client& client, std::int64_t now);
  std::size_t allowance(Client& client, std::int64_t now) const;
  void pay(Client& client, std::size_t bytes) const;
  bool send_some(Client& client, std::int64_t now);
  void receive_some(Client& client, std::int64_t now);
  void reopen_later(Client& client, std::int64_t now);
  void settle(Client& client);
  BackgroundCount& count(const Client& client);

  const LoadSpec& spec_;
  std::size_t step_bytes_;       // what a slow client moves ...
  std::int64_t step_ns_;         // ... in the time between two looks at it
  std::vector<Client> clients_;  // the slow ones first: only these have something due again
  std::size_t slow_;
  std::size_t opened_ = 0;          // how many have been begun
  std::deque<std::size_t> closed_;  // idle ones that are to be opened again, the first due first
  std::size_t unsettled_;
  std::size_t next_source_ = 0;
  int epoll_;
  BackgroundCounts counts_;
};

}  // namespace spawnpool::load
