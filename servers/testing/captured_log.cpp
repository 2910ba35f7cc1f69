#include "servers/testing/captured_log.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace spawnpool::testing {

std::size_t occurrences(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos;
       at = text.find(part, at + part.size())) {
    ++count;
  }
  return count;
}

LogFile::LogFile() : file_(memfd_create("log", MFD_CLOEXEC)) {
  if (!file_) {
    throw std::system_error(errno, std::generic_category(), "memfd_create");
  }
  fcntl(fd(), F_SETFL, O_APPEND);
}

std::string LogFile::text() const {
  std::string result;
  std::array<char, 4096> part;
  ssize_t n = 0;
  while ((n = pread(fd(), part.data(), part.size(), static_cast<off_t>(result.size()))) > 0) {
    result.append(part.data(), static_cast<std::size_t>(n));
  }
  return result;
}

CapturedLog::CapturedLog() : before_(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)) {
  dup2(log_.fd(), STDERR_FILENO);
}

CapturedLog::~CapturedLog() {
  dup2(before_.fd(), STDERR_FILENO);
}

}  // namespace spawnpool::testing
