// A parsed HTTP/1.x request as a handler sees it.
#pragma once

#include <boost/beast/http/field.hpp>
#include <boost/beast/http/verb.hpp>
#include <optional>
#include <string_view>
#include <vector>

namespace spawnpool {

using boost::beast::http::field;
using boost::beast::http::verb;

// One header line; both views point into the connection's input buffer.
struct HeaderField {
  field id;  // field::unknown for names that Beast does not list
  std::string_view name;
  std::string_view value;
};

// A request. Every view is valid until the handler returns.
struct Request {
  verb method = verb::unknown;
  std::string_view method_name;
  std::string_view target;  // as received
  std::string_view path;    // of the target, without the query; "*" for OPTIONS *
  std::string_view query;   // after '?', not decoded
  unsigned version = 11;    // 10 or 11
  bool keep_alive = true;   // what the client asked for, by version and Connection
  std::vector<HeaderField> fields;
  std::string_view body;

  // The first field of that id, or nothing.
  std::optional<std::string_view> find(field id) const {
    for (const HeaderField& candidate : fields) {
      if (candidate.id == id) {
        return candidate.value;
      }
    }
    return std::nullopt;
  }

  // The value of a parameter in the query ("us" of "us=10&x=1"), not decoded, or nothing.
  std::optional<std::string_view> query_parameter(std::string_view name) const;

  // Back to the empty state; keeps the memory of `fields`.
  void clear();
};

}  // namespace spawnpool
