#include "servers/router.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <stdexcept>

namespace spawnpool {
namespace {

// The methods that routes can have, in the order in which Allow lists them.
constexpr std::array<verb, 7> methods = {verb::delete_, verb::get,  verb::head, verb::options,
                                         verb::patch,   verb::post, verb::put};
constexpr std::array<std::string_view, methods.size()> method_names = {
    "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"};
constexpr unsigned get_index = 1;
constexpr unsigned head_index = 2;
constexpr unsigned options_index = 3;

constexpr std::uint32_t bit(unsigned index) {
  return 1U << index;
}

// Methods without an entry (TRACE among them) get the size of the list.
unsigned index_of(verb method) {
  return static_cast<unsigned>(std::find(methods.begin(), methods.end(), method) - methods.begin());
}

bool is_uint(std::string_view text) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  return error == std::errc{} && rest == end;
}

std::string_view write_allow(RequestContext& context, std::uint32_t allowed) {
  constexpr std::size_t longest = 64;  // all names with separators
  const std::span<char> memory = context.allocate(longest);
  char* out = memory.data();
  for (unsigned i = 0; i < methods.size(); ++i) {
    if ((allowed & bit(i)) != 0) {
      if (out != memory.data()) {
        out = std::copy_n(", ", 2, out);
      }
      out = std::copy(method_names[i].begin(), method_names[i].end(), out);
    }
  }
  return {memory.data(), static_cast<std::size_t>(out - memory.data())};
}

}  // namespace

struct Router::Node {
  std::string segment;         // static text, or the parameter's name
  std::vector<Node> statics;   // sought in order: a handful, and the length differs first
  std::unique_ptr<Node> uint;  // {name:uint}
  std::unique_ptr<Node> text;  // {name}
  std::unique_ptr<Node> wildcard;
  std::array<Handler, methods.size()> handlers{};
  Methods allowed = 0;
};

Router::Router() : root_(std::make_unique<Node>()) {}
Router::~Router() = default;
Router::Router(Router&&) noexcept = default;
Router& Router::operator=(Router&&) noexcept = default;

void Router::add(verb method, std::string_view pattern, Handler handler) {
  const auto fail = [&](const char* what) {
    throw std::invalid_argument("route " + std::string(pattern) + ": " + what);
  };
  const unsigned index = index_of(method);
  if (index == methods.size()) {
    fail("method cannot be routed");
  }
  if (pattern.empty() || pattern.front() != '/') {
    fail("must begin with /");
  }
  Node* node = root_.get();
  std::size_t parameter_count = 0;
  std::string_view rest = pattern;
  while (!rest.empty()) {
    rest.remove_prefix(1);  // the slash
    const std::string_view segment = rest.substr(0, rest.find('/'));
    rest.remove_prefix(segment.size());
    if (segment.empty() || segment.front() != '{') {
      if (segment.find_first_of("{}") != std::string_view::npos) {
        fail("a parameter must fill its segment");
      }
      const auto found = std::find_if(node->statics.begin(), node->statics.end(),
                                      [&](const Node& child) { return child.segment == segment; });
      if (found == node->statics.end()) {
        node = &node->statics.emplace_back();
        node->segment = segment;
      } else {
        node = &*found;
      }
      continue;
    }
    if (segment.back() != '}' || segment.size() < 3) {
      fail("a parameter is written {name}, {name:uint} or {name...}");
    }
    std::string_view name = segment.substr(1, segment.size() - 2);
    std::unique_ptr<Node>* child = &node->text;
    if (name.ends_with("...")) {
      name.remove_suffix(3);
      child = &node->wildcard;
      if (!rest.empty()) {
        fail("a wildcard must be the last segment");
      }
    } else if (const std::size_t colon = name.find(':'); colon != std::string_view::npos) {
      if (name.substr(colon + 1) != "uint") {
        fail("the only type of a parameter is uint");
      }
      name = name.substr(0, colon);
      child = &node->uint;
    }
    if (name.empty() || name.find_first_of("{}:.") != std::string_view::npos) {
      fail("malformed parameter name");
    }
    if (++parameter_count > PathParameters::capacity) {
      fail("too many parameters");
    }
    if (*child == nullptr) {
      *child = std::make_unique<Node>();
      (*child)->segment = name;
    } else if ((*child)->segment != name) {
      fail("another route has a parameter of another name in this place");
    }
    node = child->get();
  }
  if (node->handlers[index] != nullptr) {
    fail("exists already");
  }
  node->handlers[index] = handler;
  node->allowed |= bit(index) | bit(options_index);
  if (index == get_index) {
    node->allowed |= bit(head_index);
  }
  all_methods_ |= node->allowed;
}

// `rest` is empty at the end of the path and begins with a slash otherwise. Stops at the first node
// that has the method; `match.allowed` is complete only when none has.
void Router::find(const Node& node, std::string_view rest, unsigned method,
                  PathParameters& parameters, Match& match) const {
  if (rest.empty()) {
    match.allowed |= node.allowed;
    if (method < methods.size()) {
      match.handler = node.handlers[method];
      if (match.handler == nullptr && method == head_index) {
        match.handler = node.handlers[get_index];
      }
    }
    return;
  }
  const std::string_view tail = rest.substr(1);
  const void* const slash = std::memchr(tail.data(), '/', tail.size());
  const std::size_t length =
      slash == nullptr ? tail.size()
                       : static_cast<std::size_t>(static_cast<const char*>(slash) - tail.data());
  const std::string_view segment = tail.substr(0, length);
  const std::string_view next = tail.substr(length);
  for (const Node& child : node.statics) {
    if (child.segment == segment) {
      find(child, next, method, parameters, match);
      break;
    }
  }
  const auto try_parameter = [&](const Node& child, std::string_view value, std::string_view left) {
    const std::size_t size = parameters.size();
    parameters.push({child.segment, value});
    find(child, left, method, parameters, match);
    if (match.handler == nullptr) {
      parameters.truncate(size);
    }
  };
  if (match.handler == nullptr && node.uint != nullptr && is_uint(segment)) {
    try_parameter(*node.uint, segment, next);
  }
  if (match.handler == nullptr && node.text != nullptr && !segment.empty()) {
    try_parameter(*node.text, segment, next);
  }
  if (match.handler == nullptr && node.wildcard != nullptr) {
    try_parameter(*node.wildcard, tail, {});
  }
}

void Router::handle(RequestContext& context) const {
  Response& response = context.response;
  if (context.request.path == "*") {  // the parser lets it through for OPTIONS only
    response.status = 204;
    response.allow = write_allow(context, all_methods_);
    return;
  }
  const unsigned method = index_of(context.request.method);
  Match match;
  find(*root_, context.request.path, method, context.parameters, match);
  if (match.handler != nullptr) {
    match.handler(context);
  } else if (match.allowed == 0) {
    response.status = 404;
    response.body = "Not Found\n";
  } else {
    response.allow = write_allow(context, match.allowed);
    if (method == options_index) {
      response.status = 204;
    } else {
      response.status = 405;
      response.body = "Method Not Allowed\n";
    }
  }
}

}  // namespace spawnpool
