#include "harness/load/url.hpp"

#include <algorithm>
#include <charconv>

#include "servers/cli/cli.hpp"

namespace spawnpool::load {
namespace {

[[noreturn]] void refuse(std::string_view text, const std::string& why) {
  throw cli::UsageError("'" + std::string(text) + "' " + why);
}

}  // namespace

Url parse_url(std::string_view text) {
  constexpr std::string_view scheme = "http://";
  if (!text.starts_with(scheme)) {
    refuse(text, "is no URL to load; write it as http://127.0.0.1:8080/path (there is no TLS)");
  }
  if (std::any_of(text.begin(), text.end(), [](unsigned char c) { return c <= ' ' || c >= 127; })) {
    refuse(text, "holds a blank or a byte beyond ASCII; percent-encode it");
  }
  std::string_view rest = text.substr(scheme.size());
  rest = rest.substr(0, rest.find('#'));
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?"));
  Url url;
  url.target = std::string(rest.substr(authority.size()));
  if (!url.target.starts_with('/')) {
    url.target.insert(0, "/");
  }
  url.authority = std::string(authority);
  if (authority.find('@') != std::string_view::npos) {
    refuse(text, "names a user; give --header 'Authorization: ...' instead");
  }

  std::string_view port;
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos) {
      refuse(text, "has no ] behind its IPv6 address");
    }
    url.host = std::string(authority.substr(1, close - 1));
    port = authority.substr(close + 1);
  } else {
    const std::size_t colon = std::min(authority.find(':'), authority.size());
    url.host = std::string(authority.substr(0, colon));
    port = authority.substr(colon);
  }
  if (url.host.empty()) {
    refuse(text, "names no host; write it as http://127.0.0.1:8080/path");
  }
  if (!port.empty()) {
    const char* const end = port.data() + port.size();
    const auto [last, error] = std::from_chars(port.data() + 1, end, url.port);
    if (port.front() != ':' || error != std::errc{} || last != end || url.port == 0) {
      refuse(text, "has no port of 1 to 65535 behind its host");
    }
  }
  return url;
}

}  // namespace spawnpool::load
