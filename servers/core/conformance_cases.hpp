// One table of messages with what a server owes for them, whatever its model.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "servers/core/limits.hpp"
#include "servers/router.hpp"

namespace spawnpool {

// What is expected of one response, apart from being well-formed. Interim responses are not listed:
// whether a client is told to continue depends on what has arrived.
struct ExpectedResponse {
  unsigned status = 200;
  std::optional<std::string> body = {};                          // any where nothing is said
  std::vector<std::pair<std::string, std::string>> fields = {};  // name and value; "": not there
  bool to_head = false;
};

// What a client sends on one connection and what comes back. After it, `closes`: the last response
// says so and the server ends the connection; else the connection serves another request.
struct ConformanceCase {
  std::string name = {};
  std::string bytes = {};
  std::vector<ExpectedResponse> responses;
  bool closes = false;
  bool half_closes = false;  // the client ends its side behind the bytes, and the server follows
  bool breaks_word = false;  // the client sends more behind its "close": its loss if that resets
};

// The limits that the table counts on: small, so that the messages which exceed them are short.
inline constexpr std::size_t conformance_header_bytes = 512;
inline constexpr std::size_t conformance_body_bytes = 100;
inline Limits conformance_limits() {
  return {.max_header_bytes = conformance_header_bytes, .max_body_bytes = conformance_body_bytes};
}

// The usual routes and GET /throw, /throw-int, whose handlers throw.
Router conformance_routes();

std::vector<ConformanceCase> conformance_cases();

// The parts of the table.
std::vector<ConformanceCase> served_cases();   // requests that are handled
std::vector<ConformanceCase> body_cases();     // framing and Expect, good and bad
std::vector<ConformanceCase> refused_cases();  // headers that are refused

}  // namespace spawnpool
