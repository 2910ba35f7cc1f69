#include "harness/load/request_bytes.hpp"

#include <algorithm>
#include <array>
#include <boost/beast/core/string.hpp>
#include <string_view>

#include "servers/cli/cli.hpp"

namespace spawnpool::load {
namespace {

// RFC 9110's token: what methods and header names are made of.
bool is_token(std::string_view text) {
  constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           marks.find(static_cast<char>(c)) != std::string_view::npos;
  });
}

bool is_field_value(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return c == '\t' || (c >= ' ' && c != 127); });
}

bool same_name(std::string_view a, std::string_view b) {
  return boost::beast::iequals({a.data(), a.size()}, {b.data(), b.size()});
}

}  // namespace

Request make_request(const Url& url, const RequestText& text) {
  if (!is_token(text.method) || text.method == "CONNECT") {
    throw cli::UsageError("--method: '" + text.method +
                          "' is no method to load with; give GET, POST, ...");
  }
  std::string head = text.method + " " + url.target + " HTTP/1.1\r\n";
  std::string fields;
  bool has_host = false;
  for (const std::string& header : text.headers) {
    const std::size_t colon = std::min(header.find(':'), header.size());
    const std::string_view name = std::string_view(header).substr(0, colon);
    std::string_view value = std::string_view(header).substr(std::min(colon + 1, header.size()));
    value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
    if (colon == header.size() || !is_token(name) || !is_field_value(value)) {
      throw cli::UsageError("--header: '" + header + "' is no header; write it as 'Name: value'");
    }
    for (const std::string_view own :
         std::array<std::string_view, 3>{"connection", "content-length", "transfer-encoding"}) {
      if (same_name(name, own)) {
        throw cli::UsageError("--header: '" + std::string(name) +
                              "' is set by the generator; leave it out");
      }
    }
    has_host = has_host || same_name(name, "host");
    fields += std::string(name) + ": " + std::string(value) + "\r\n";
  }
  if (!has_host) {
    head += "Host: " + url.authority + "\r\n";
  }
  // In the order in which spawnpool-trial writes its own, so that every driver sends the same
  // bytes.
  if (!text.body.empty() || text.method == "POST" || text.method == "PUT" ||
      text.method == "PATCH") {
    fields += "Content-Length: " + std::to_string(text.body.size()) + "\r\n";
  }
  Request request;
  request.keep = head + fields + "\r\n" + text.body;
  request.close = head + "Connection: close\r\n" + fields + "\r\n" + text.body;
  request.head = text.method == "HEAD";
  return request;
}

}  // namespace spawnpool::load
