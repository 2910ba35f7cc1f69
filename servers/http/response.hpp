// The response that a handler fills in, and its bytes on the wire.
#pragma once

#include <cstddef>
#include <ctime>
#include <string_view>

namespace spawnpool {

// A response. Views must outlive the write: static text, the request, or the context's memory.
struct Response {
  unsigned status = 200;
  std::string_view content_type = "text/plain";  // not written when there is no body to describe
  std::string_view body = {};
  std::string_view allow = {};  // value of Allow for 405 and OPTIONS; empty: no such header
};

// The reason phrase of RFC 9110 ("Not Found"); "Unknown" for a status that it does not list.
std::string_view reason_phrase(unsigned status);

// What the connection adds to a response.
enum class ConnectionHeader {
  none,        // HTTP/1.1 stays open
  keep_alive,  // an HTTP/1.0 client asked to stay open
  close,
};

// No response head is longer than this plus its Allow value.
inline constexpr std::size_t max_response_head_bytes = 512;

// Writes status line and headers, with the blank line, at `out`, which has room for
// max_response_head_bytes + response.allow.size(). The content type must be at most 128 bytes.
// Returns the end. `now` is the time for Date in seconds since the epoch.
char* write_response_head(char* out, const Response& response, ConnectionHeader connection,
                          std::time_t now);

}  // namespace spawnpool
