// The command line of spawnpool-load.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/load/condition.hpp"
#include "harness/load/load_spec.hpp"

namespace spawnpool::load {

struct LoadOptions {
  LoadSpec spec;
  std::vector<std::string> urls;  // as given
  std::vector<Condition> fail_if;
  std::optional<Condition> saturation;
  std::string json;  // a file, "-" for stdout, "" for none
  bool events = false;
  bool quiet = false;
};

// Reads the command line and looks the server's host up. Returns the exit status when there is
// nothing to run: 0 after --help and --version, 2 after a mistake that it has told.
std::optional<int> parse_options(int argc, const char* const* argv, LoadOptions& options);

}  // namespace spawnpool::load
