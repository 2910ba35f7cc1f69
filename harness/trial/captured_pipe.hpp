// The end of what a child writes to one of its pipes.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "harness/trial/unique_fd.hpp"
#include "harness/trial/waiter.hpp"

namespace spawnpool::trial {

// Keeps the last `keep` bytes. Not thread-safe.
class CapturedPipe {
 public:
  CapturedPipe(Waiter& waiter, std::size_t keep) : waiter_(waiter), keep_(keep) {}
  ~CapturedPipe();
  CapturedPipe(const CapturedPipe&) = delete;
  CapturedPipe& operator=(const CapturedPipe&) = delete;

  // Creates the pipe and returns its write end, which is the child's.
  UniqueFd open();

  // Reads what is there now. Returns false at the end of the stream.
  bool drain();

  int fd() const { return fd_.get(); }
  const std::string& text() const { return text_; }
  // Takes the first line out of text() once it is whole, and returns it without its newline.
  std::optional<std::string> take_line();
  // The last `count` lines that are not empty, each cut to 500 bytes of valid UTF-8.
  std::vector<std::string> last_lines(std::size_t count) const;

 private:
  Waiter& waiter_;
  std::size_t keep_;
  UniqueFd fd_;
  std::string text_;
};

}  // namespace spawnpool::trial
