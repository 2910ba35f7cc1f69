#include "harness/trial/captured_pipe.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <system_error>

namespace spawnpool::trial {
namespace {

constexpr std::size_t line_limit = 500;

// A result is JSON: bytes that are no UTF-8 become U+FFFD.
std::string printable(const std::string& line) {
  const std::string quoted = nlohmann::json(line.substr(0, line_limit))
                                 .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return nlohmann::json::parse(quoted).get<std::string>();
}

}  // namespace

CapturedPipe::~CapturedPipe() {
  if (fd_) {
    waiter_.forget(fd_.get());
  }
}

UniqueFd CapturedPipe::open() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    throw std::system_error(errno, std::generic_category(), "pipe2");
  }
  fd_ = UniqueFd(ends[0]);
  // Only our end: O_NONBLOCK on the child's would surprise its program.
  fcntl(fd_.get(), F_SETFL, O_NONBLOCK);
  waiter_.watch(fd_.get(), [this] { return drain(); });
  return UniqueFd(ends[1]);
}

bool CapturedPipe::drain() {
  std::array<char, 65536> buffer{};
  // Bounded, so that a child that writes without end cannot keep the trial here.
  for (int i = 0; fd_ && i < 64; ++i) {
    const ssize_t got = read(fd_.get(), buffer.data(), buffer.size());
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
      return false;
    }
    if (got < 0) {
      break;
    }
    text_.append(buffer.data(), static_cast<std::size_t>(got));
    if (text_.size() > 2 * keep_) {
      text_.erase(0, text_.size() - keep_);
    }
  }
  return static_cast<bool>(fd_);
}

std::optional<std::string> CapturedPipe::take_line() {
  const std::size_t end = text_.find('\n');
  if (end == std::string::npos) {
    return std::nullopt;
  }
  std::string line = text_.substr(0, end);
  text_.erase(0, end + 1);
  return line;
}

std::vector<std::string> CapturedPipe::last_lines(std::size_t count) const {
  std::vector<std::string> lines;
  std::size_t end = text_.size();
  while (end > 0 && lines.size() < count) {
    const std::size_t newline = text_.rfind('\n', end - 1);
    const std::size_t begin = newline == std::string::npos ? 0 : newline + 1;
    if (begin < end) {
      lines.push_back(printable(text_.substr(begin, end - begin)));
    }
    end = newline == std::string::npos ? 0 : newline;
  }
  std::reverse(lines.begin(), lines.end());
  return lines;
}

}  // namespace spawnpool::trial
