#include "servers/cli/cli.hpp"

#include <array>
#include <charconv>
#include <iostream>
#include <limits>
#include <utility>

#ifndef SPAWNPOOL_VERSION
#error "SPAWNPOOL_VERSION comes from CMake"
#endif

namespace spawnpool::cli {
namespace {

using std::chrono::nanoseconds;

// Largest first, so that format_duration finds the largest unit that divides.
constexpr std::array<std::pair<std::string_view, long long>, 5> units = {{
    {"h", 3'600'000'000'000},
    {"m", 60'000'000'000},
    {"s", 1'000'000'000},
    {"ms", 1'000'000},
    {"us", 1'000},
}};

}  // namespace

std::optional<nanoseconds> parse_duration(std::string_view text) {
  unsigned long long count = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, count);
  if (error != std::errc{}) {
    return std::nullopt;
  }
  const std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  for (const auto& [name, factor] : units) {
    if (unit == name) {
      if (count > static_cast<unsigned long long>(std::numeric_limits<long long>::max() / factor)) {
        return std::nullopt;
      }
      return nanoseconds(static_cast<long long>(count) * factor);
    }
  }
  return std::nullopt;
}

std::string format_duration(nanoseconds value) {
  for (const auto& [name, factor] : units) {
    if (value.count() % factor == 0 && value.count() != 0) {
      return std::to_string(value.count() / factor) + std::string(name);
    }
  }
  return value.count() == 0 ? "0s" : std::to_string(value.count() / 1000) + "us";
}

CLI::Option* add_duration(CLI::App& app, const std::string& name, nanoseconds& value,
                          const std::string& description) {
  const auto store = [&value, name](const std::string& text) {
    const auto parsed = parse_duration(text);
    if (!parsed) {
      throw CLI::ValidationError(name,
                                 "'" + text + "' is no duration; write it as 250ms, 10s or 2m");
    }
    value = *parsed;
  };
  return app.add_option_function<std::string>(name, store, description)
      ->type_name("DURATION")
      ->default_str(format_duration(value));
}

std::optional<int> parse(CLI::App& app, int argc, const char* const* argv) {
  app.set_version_flag("--version", app.get_name() + " " + std::string(version()));
  app.get_formatter()->column_width(40);
  try {
    app.parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::Success& success) {  // --help, --version
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    print_error(app.get_name(), std::string(error.what()) + " (see " + app.get_name() + " --help)");
    return exit_usage;
  }
}

std::string_view version() {
  return SPAWNPOOL_VERSION;
}

void print_error(std::string_view program, std::string_view message) {
  std::cerr << program << ": " << message << '\n';
}

int run_main(std::string_view program, const std::function<int()>& body, int failure) {
  try {
    return body();
  } catch (const UsageError& error) {
    print_error(program, error.what());
    return exit_usage;
  } catch (const std::exception& error) {
    print_error(program, error.what());
    return failure;
  }
}

}  // namespace spawnpool::cli
