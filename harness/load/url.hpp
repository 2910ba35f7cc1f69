// The URLs that the generator is pointed at.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace spawnpool::load {

struct Url {
  std::string host;  // a name, an IPv4 address, or an IPv6 address without its brackets
  std::uint16_t port = 80;
  std::string authority = {};  // host[:port] as given: the value of the Host header
  std::string target = {};     // path and query, at least "/"
};

// Reads "http://HOST[:PORT][/PATH][?QUERY]"; a fragment is left out. Throws cli::UsageError, which
// names the text and the mend.
Url parse_url(std::string_view text);

}  // namespace spawnpool::load
