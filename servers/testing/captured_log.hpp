// What a process writes to standard error, kept for a test to look at.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "servers/core/socket.hpp"

namespace spawnpool::testing {

// Times that `part` is in `text`.
std::size_t occurrences(std::string_view text, std::string_view part);

// A file in memory that takes standard error, of this process or of a child.
class LogFile {
 public:
  LogFile();
  int fd() const { return file_.fd(); }
  std::string text() const;

 private:
  Socket file_;  // no socket, but a descriptor just the same
};

// Takes this process's standard error as long as it lives.
class CapturedLog {
 public:
  CapturedLog();
  ~CapturedLog();
  CapturedLog(const CapturedLog&) = delete;
  CapturedLog& operator=(const CapturedLog&) = delete;

  std::string text() const { return log_.text(); }

 private:
  LogFile log_;
  Socket before_;
};

}  // namespace spawnpool::testing
