// Requests as they go over the wire.
#pragma once

#include <string>
#include <vector>

#include "harness/load/load_spec.hpp"
#include "harness/load/url.hpp"

namespace spawnpool::load {

struct RequestText {
  std::string method;
  std::vector<std::string> headers;  // "Name: value"
  std::string body;
};

// Host comes from the URL unless it is among the headers; Content-Length is set when there is a
// body, or the method wants one. Throws cli::UsageError for what is no HTTP, and for headers that
// are the generator's own to set.
Request make_request(const Url& url, const RequestText& text);

}  // namespace spawnpool::load
