#include "servers/http/response.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace spawnpool {
namespace {

char* append(char* out, std::string_view text) {
  return std::copy(text.begin(), text.end(), out);
}

constexpr std::string_view status_line_200 = "HTTP/1.1 200 OK\r\nServer: spawnpool\r\nDate: ";

// "Sun, 06 Nov 1994 08:49:37 GMT", made once a second and thread: strftime would take more
// instructions than the rest of a small response.
std::string_view http_date(std::time_t now) {
  struct Cached {
    std::time_t second = -1;
    std::array<char, 30> text{};
  };
  thread_local Cached cached;
  if (cached.second != now) {
    std::tm parts{};
    gmtime_r(&now, &parts);
    // The process never leaves the C locale, so the names are the English ones that HTTP wants.
    std::strftime(cached.text.data(), cached.text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    cached.second = now;
  }
  return {cached.text.data(), cached.text.size() - 1};
}

}  // namespace

std::string_view reason_phrase(unsigned status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 417:
      return "Expectation Failed";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Unknown";
  }
}

char* write_response_head(char* out, const Response& response, ConnectionHeader connection,
                          std::time_t now) {
  if (response.status == 200) {
    out = append(out, status_line_200);
  } else {
    out = append(out, "HTTP/1.1 ");
    out = std::to_chars(out, out + 3, response.status).ptr;
    out = append(out, " ");
    out = append(out, reason_phrase(response.status));
    out = append(out, "\r\nServer: spawnpool\r\nDate: ");
  }
  out = append(out, http_date(now));
  if (response.status != 204) {  // RFC 9110, 8.6: no Content-Length in a 204
    out = append(out, "\r\nContent-Type: ");
    out = append(out, response.content_type);
    out = append(out, "\r\nContent-Length: ");
    out = std::to_chars(out, out + 20, response.body.size()).ptr;
  }
  if (!response.allow.empty()) {
    out = append(out, "\r\nAllow: ");
    out = append(out, response.allow);
  }
  if (connection == ConnectionHeader::close) {
    out = append(out, "\r\nConnection: close");
  } else if (connection == ConnectionHeader::keep_alive) {
    out = append(out, "\r\nConnection: keep-alive");
  }
  return append(out, "\r\n\r\n");
}

}  // namespace spawnpool
