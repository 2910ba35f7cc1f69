// Finds the handler of a request: static paths, {name} parameters, a trailing wildcard.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "servers/request_context.hpp"

namespace spawnpool {

// A tree of path segments. Patterns:
//   /users/me            static
//   /users/{id:uint}     one segment of decimal digits that fits 64 bits
//   /users/{name}        one segment, not empty
//   /files/{path...}     the rest of the path, at the end of a pattern only; may be empty
// The most specific route wins, segment by segment from the left: static, uint, text, wildcard;
// a route that does not take the method gives way to a less specific one that does.
// GET routes answer HEAD too. Matching is on the raw path: nothing is percent-decoded.
// Looking up allocates nothing and is safe from any number of threads once the routes are added.
class Router {
 public:
  Router();
  ~Router();
  Router(Router&&) noexcept;
  Router& operator=(Router&&) noexcept;

  // Adds a route. Throws std::invalid_argument for a malformed pattern, a method and pattern that
  // exist already, or more than PathParameters::capacity parameters.
  void add(verb method, std::string_view pattern, Handler handler);

  // Routes and runs the request of `context`: 404 without a route, 405 with Allow for a method that
  // no matching route takes, 204 with Allow for OPTIONS (and OPTIONS *) where no route says else.
  void handle(RequestContext& context) const;

 private:
  struct Node;
  using Methods = std::uint32_t;  // a bit per known method, in the order of their names

  struct Match {
    Handler handler = nullptr;
    Methods allowed = 0;  // of every node that matches the path
  };

  void find(const Node& node, std::string_view rest, unsigned method, PathParameters& parameters,
            Match& match) const;

  std::unique_ptr<Node> root_;
  Methods all_methods_ = 0;
};

}  // namespace spawnpool
