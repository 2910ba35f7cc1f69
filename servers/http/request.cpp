#include "servers/http/request.hpp"

namespace spawnpool {

std::optional<std::string_view> Request::query_parameter(std::string_view name) const {
  std::string_view rest = query;
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(pair.size() == rest.size() ? rest.size() : pair.size() + 1);
    const std::size_t equals = pair.find('=');
    if (pair.substr(0, equals) == name) {
      return equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
    }
  }
  return std::nullopt;
}

void Request::clear() {
  method = verb::unknown;
  method_name = target = path = query = body = {};
  version = 11;
  keep_alive = true;
  fields.clear();
}

}  // namespace spawnpool
