// What every spawnpool executable has in common on its command line: --help, --version, durations
// written "250ms", "10s" or "2m", and exit status 2 with a one-line message on a usage error.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace spawnpool::cli {

// Exit statuses shared by the executables.
inline constexpr int exit_ok = 0;
inline constexpr int exit_failure = 1;
inline constexpr int exit_usage = 2;

// Thrown for what the user got wrong; what() is one line that names the thing and the mend.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Parses a whole number with one of the units us, ms, s, m, h, without sign or white space
// ("250ms"). Returns nothing when the text is anything else or exceeds 2^63-1 ns.
std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text);

// Writes a duration in the largest unit that holds it in whole numbers ("1500ms", "2m").
// Rounds towards zero to whole microseconds.
std::string format_duration(std::chrono::nanoseconds value);

// Adds an option that takes a duration; its current value is shown as the default.
CLI::Option* add_duration(CLI::App& app, const std::string& name, std::chrono::nanoseconds& value,
                          const std::string& description);

// Parses argv. Returns nothing when the program should go on, else the exit status to end with:
// 0 after --help or --version (on stdout), 2 after a usage error (one line on stderr).
std::optional<int> parse(CLI::App& app, int argc, const char* const* argv);

// The version of the project, as --version shows it.
std::string_view version();

// Writes "program: message" as one line on stderr.
void print_error(std::string_view program, std::string_view message);

// What a main() returns: the status of `body`; exit_usage after a UsageError and `failure` after
// any other std::exception, which are told in a line on stderr.
int run_main(std::string_view program, const std::function<int()>& body,
             int failure = exit_failure);

}  // namespace spawnpool::cli
