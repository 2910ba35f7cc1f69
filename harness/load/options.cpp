#include "harness/load/options.hpp"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <map>

#include "harness/load/preflight.hpp"
#include "harness/load/request_bytes.hpp"
#include "harness/load/source_addresses.hpp"
#include "harness/load/url.hpp"
#include "servers/cli/cli.hpp"

namespace spawnpool::load {
namespace {

using namespace std::chrono_literals;

// What the command line says, before it is put together.
struct Given {
  std::vector<double> weights;
  RequestText request{"GET", {}, ""};
  std::string body_file;
  double rate = 0;
  std::string arrivals = "poisson";
  std::size_t backlog = 100'000;
  unsigned burst = 0;
  nanoseconds burst_every{};
  std::uint64_t seed = 0;
  std::string cpus;
  std::string pacing = "auto";
  std::optional<unsigned> expect_status;
  std::optional<std::uint64_t> expect_bytes;
  std::string sources;
  std::vector<std::string> fail_if;
  std::string saturation;
};

void add_options(CLI::App& app, LoadOptions& options, Given& given) {
  LoadSpec& spec = options.spec;
  const auto count = [](CLI::Option* option, auto least, auto most) {
    return option->check(CLI::Range(least, most))->type_name("N")->capture_default_str();
  };
  app.add_option("URL", options.urls, "http://HOST[:PORT]/PATH, several of one server")
      ->required()
      ->type_name("");
  app.add_option("--weights", given.weights, "how often each URL is asked, as W,W,...")
      ->delimiter(',')
      ->type_name("LIST");
  app.add_option("--method", given.request.method, "of the request")->capture_default_str();
  app.add_option("--header", given.request.headers, "'Name: value', as often as needed")
      ->type_name("TEXT")
      ->take_all()
      ->allow_extra_args(false);
  CLI::Option* const body = app.add_option("--body", given.request.body, "of the request");
  app.add_option("--body-file", given.body_file, "its body from a file")
      ->type_name("FILE")
      ->excludes(body);

  count(app.add_option("--connections", spec.connections, "open at once"), 1U, 1'000'000U);
  cli::add_duration(app, "--duration", spec.duration, "of the measured window");
  cli::add_duration(app, "--warmup", spec.warmup, "load before it, which is not measured");
  cli::add_duration(app, "--timeout", spec.timeout,
                    "for an answer, and for what is under way at the end");
  count(app.add_option("--requests-per-connection", spec.requests_per_connection,
                       "then it is closed and another opened; 0 for no limit"),
        std::uint64_t{0}, std::uint64_t{1'000'000'000});
  count(app.add_option("--pipeline", spec.pipeline, "requests under way on a connection"), 1U,
        1024U);
  cli::add_duration(app, "--think-time", spec.think_time,
                    "closed loop: between an answer and the next request");

  app.add_option("--rate", given.rate, "open loop: requests per second")
      ->check(CLI::Range(0.001, 1e8))
      ->type_name("R");
  app.add_option("--arrivals", given.arrivals, "open loop: how they are spread")
      ->check(CLI::IsMember({"poisson", "uniform"}))
      ->capture_default_str();
  count(app.add_option("--burst", given.burst, "open loop: so many at once ..."), 1U, 1'000'000U);
  cli::add_duration(app, "--burst-every", given.burst_every, "... each time this has passed");
  count(app.add_option("--backlog", given.backlog,
                       "open loop: arrivals that may wait for a connection, more are dropped"),
        std::size_t{0}, std::size_t{100'000'000});
  app.add_option("--seed", given.seed, "of what is drawn")->capture_default_str();

  app.add_option("--cpus", given.cpus, "a thread on each, such as 1 or 2,4-6")->type_name("LIST");
  app.add_option("--pacing", given.pacing,
                 "busy-poll wants the CPUs for itself; auto does so with --cpus")
      ->check(CLI::IsMember({"auto", "busy-poll", "sleep"}))
      ->capture_default_str();
  app.add_option("--source-addresses", given.sources,
                 "to connect from in turn, such as 127.0.1.0/24 [for a connection per request to "
                 "127.0.0.0/8: 1024 of them]")
      ->type_name("LIST");

  app.add_option("--expect-status", given.expect_status, "another one is an error [400 and above]")
      ->check(CLI::Range(200, 599));
  app.add_option("--expect-bytes", given.expect_bytes, "of the body; another size is an error");

  const auto clients = [&](const char* name, unsigned& value, const char* what) {
    count(app.add_option(name, value, what), 0U, 1'000'000U);
  };
  clients("--idle", spec.background.idle, "connections beside, that ask once and stay");
  clients("--slow-senders", spec.background.slow_senders, "connections beside, that send slowly");
  clients("--slow-readers", spec.background.slow_readers, "connections beside, that read slowly");
  count(app.add_option("--slow-rate", spec.background.bytes_per_second,
                       "bytes per second of a slow client"),
        1U, 1'000'000U);

  app.add_option("--saturation", given.saturation,
                 "find the highest rate that holds a bound, such as 'p99<5ms'; a step takes "
                 "--warmup and --duration, the first is at --rate or 1000")
      ->type_name("BOUND");
  app.add_option("--fail-if", given.fail_if, "exit 1 if so: 'p99>5ms', 'errors>0', ...")
      ->type_name("CONDITION")
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--json", options.json, "the report, to a file or - for stdout")
      ->type_name("FILE");
  app.add_flag("--events", options.events,
               "a JSON line on stdout when connected, and when the window begins and ends");
  app.add_flag("--quiet", options.quiet, "no progress and no summary");
}

std::vector<int> parse_cpus(const std::string& text) {
  const auto refuse = [&] {
    throw cli::UsageError("--cpus: '" + text + "' is no list of CPUs; write it as 1 or 2,4-6");
  };
  std::vector<int> cpus;
  const char* at = text.data();
  const char* const end = at + text.size();
  cpu_set_t allowed;
  sched_getaffinity(0, sizeof(allowed), &allowed);
  for (;;) {
    int first = 0;
    auto parsed = std::from_chars(at, end, first);
    int last = first;
    if (parsed.ec == std::errc{} && parsed.ptr != end && *parsed.ptr == '-') {
      parsed = std::from_chars(parsed.ptr + 1, end, last);
    }
    if (parsed.ec != std::errc{} || first < 0 || last < first || last >= CPU_SETSIZE) {
      refuse();
    }
    for (int cpu = first; cpu <= last; ++cpu) {
      if (!CPU_ISSET(static_cast<std::size_t>(cpu), &allowed)) {
        throw cli::UsageError("--cpus: this process may not run on CPU " + std::to_string(cpu));
      }
      cpus.push_back(cpu);
    }
    if (parsed.ptr == end) {
      return cpus;
    }
    if (*parsed.ptr != ',') {
      refuse();
    }
    at = parsed.ptr + 1;
  }
}

void set_requests(LoadOptions& options, Given& given) {
  if (!given.body_file.empty()) {
    std::ifstream file(given.body_file, std::ios::binary);
    given.request.body.assign(std::istreambuf_iterator<char>(file), {});
    if (!file) {
      throw cli::UsageError("--body-file: cannot read '" + given.body_file + "'");
    }
  }
  if (!given.weights.empty() && given.weights.size() != options.urls.size()) {
    throw cli::UsageError("--weights: give one for each URL, there are " +
                          std::to_string(options.urls.size()));
  }
  std::string authority;
  for (std::size_t i = 0; i < options.urls.size(); ++i) {
    const Url url = parse_url(options.urls[i]);
    if (i == 0) {
      options.spec.endpoint = resolve(url);
      authority = url.authority;
    } else if (url.authority != authority) {
      throw cli::UsageError("'" + options.urls[i] + "' is of another server than '" +
                            options.urls.front() + "'; load one at a time");
    }
    Request request = make_request(url, given.request);
    if (!given.weights.empty()) {
      request.weight = given.weights[i];
      if (!(request.weight > 0)) {
        throw cli::UsageError("--weights: each has to be above 0");
      }
    }
    options.spec.requests.push_back(std::move(request));
  }
}

void set_open_loop(LoadSpec& spec, const Given& given) {
  if (given.rate == 0 && given.burst == 0 && given.saturation.empty()) {
    return;
  }
  if (given.rate > 0 && given.burst > 0) {
    throw cli::UsageError("--rate and --burst are two kinds of arrivals; give one of them");
  }
  if ((given.burst > 0) != (given.burst_every > 0s)) {
    throw cli::UsageError("--burst and --burst-every belong together; give both");
  }
  if (spec.think_time > 0s) {
    throw cli::UsageError("--think-time is for the closed loop; leave it or the rate out");
  }
  OpenLoop loop;
  loop.arrivals = given.arrivals == "uniform" ? Arrivals::uniform : Arrivals::poisson;
  loop.backlog = given.backlog;
  loop.seed = given.seed;
  loop.burst = given.burst;
  loop.burst_every = given.burst_every;
  constexpr double first_step_rps = 1000;
  loop.rate = given.burst > 0
                  ? given.burst / std::chrono::duration<double>(given.burst_every).count()
              : given.rate > 0 ? given.rate
                               : first_step_rps;
  spec.open_loop = loop;
}

void put_together(LoadOptions& options, Given& given) {
  LoadSpec& spec = options.spec;
  if (spec.duration < 1ms || spec.duration > 24h || spec.warmup > 24h) {
    throw cli::UsageError("--duration has to be 1ms to 24h, --warmup at most 24h");
  }
  if (spec.timeout < 1ms || spec.timeout > 1h) {
    throw cli::UsageError("--timeout has to be 1ms to 1h");
  }
  set_requests(options, given);
  spec.expect = {given.expect_status, given.expect_bytes};
  if (!given.cpus.empty()) {
    spec.cpus = parse_cpus(given.cpus);
    if (spec.cpus.size() > spec.connections) {
      throw cli::UsageError("--cpus names more threads than there are --connections");
    }
  }
  if (!given.saturation.empty()) {
    if (given.burst > 0) {
      throw cli::UsageError("--saturation varies a rate; leave --burst out");
    }
    options.saturation = parse_condition(given.saturation);
  }
  set_open_loop(spec, given);
  spec.pacing = given.pacing == "busy-poll" || (given.pacing == "auto" && !spec.cpus.empty())
                    ? Pacing::busy_poll
                    : Pacing::sleep;
  spec.sources = given.sources.empty() ? default_source_addresses(spec)
                                       : parse_source_addresses(given.sources, spec.endpoint);
  for (const std::string& text : given.fail_if) {
    options.fail_if.push_back(parse_condition(text));
  }
}

}  // namespace

std::optional<int> parse_options(int argc, const char* const* argv, LoadOptions& options) {
  Given given;
  CLI::App app(
      "Loads an HTTP/1.1 server, in closed loop (each connection asks again when it has its "
      "answer)\nor in open loop (--rate, --burst), and tells what came of it.\n"
      "Exits 0; 1 when a --fail-if holds; 2 after a mistake; 3 when the measurement is invalid.",
      "spawnpool-load");
  add_options(app, options, given);
  if (const auto status = cli::parse(app, argc, argv)) {
    return status;
  }
  try {
    put_together(options, given);
  } catch (const cli::UsageError& error) {
    cli::print_error("spawnpool-load", error.what());
    return cli::exit_usage;
  }
  return std::nullopt;
}

}  // namespace spawnpool::load
