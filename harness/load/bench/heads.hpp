// Counts the requests in a stream that is cut anywhere: each ends with an empty line, since those
// asked here have no body.
#pragma once

#include <cstddef>
#include <cstring>
#include <string_view>

namespace spawnpool::load::bench {

class HeadCounter {
 public:
  // How many requests end within these bytes, which continue the ones before.
  std::size_t feed(std::string_view bytes) {
    std::size_t heads = 0;
    // An end that began in the bytes before: byte by byte until it is one or none.
    std::size_t at = 0;
    for (; matched_ != 0 && at < bytes.size(); ++at) {
      if (advance(bytes[at])) {
        ++heads;
      }
    }
    while (at < bytes.size()) {
      const void* const found = memmem(bytes.data() + at, bytes.size() - at, end.data(), 4);
      if (found == nullptr) {
        // The last three may begin an end.
        for (at = at + 3 < bytes.size() ? bytes.size() - 3 : at; at < bytes.size(); ++at) {
          advance(bytes[at]);
        }
        break;
      }
      ++heads;
      at = static_cast<std::size_t>(static_cast<const char*>(found) - bytes.data()) + end.size();
    }
    return heads;
  }

 private:
  static constexpr std::string_view end = "\r\n\r\n";

  bool advance(char byte) {
    if (byte != end[matched_]) {
      matched_ = byte == end[0] ? 1 : 0;
      return false;
    }
    if (++matched_ < end.size()) {
      return false;
    }
    matched_ = 0;
    return true;
  }

  std::size_t matched_ = 0;  // bytes of an end that the stream ends with
};

}  // namespace spawnpool::load::bench
