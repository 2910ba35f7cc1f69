#include "servers/options.hpp"

#include <map>

#include "servers/cli/cli.hpp"

namespace spawnpool {
namespace {

const std::map<std::string, Model> models = {
    {"thread-per-connection", Model::thread_per_connection},
    {"worker-pool", Model::worker_pool},
};
const std::map<std::string, MemoryPolicy> memory_policies = {
    {"fresh", MemoryPolicy::fresh},
    {"reused", MemoryPolicy::reused},
};
const std::map<std::string, WorkerPoolOptions::Overflow> overflows = {
    {"reject", WorkerPoolOptions::Overflow::reject},
    {"wait", WorkerPoolOptions::Overflow::wait},
};

template <class Value>
std::string_view name_in(const std::map<std::string, Value>& names, Value value) {
  for (const auto& [name, each] : names) {
    if (each == value) {
      return name;
    }
  }
  return {};
}

// An option that takes one of the names in `names`.
template <class Value>
CLI::Option* add_choice(CLI::App& app, const std::string& option, Value& value,
                        const std::map<std::string, Value>& names, const std::string& description) {
  std::string list;
  for (const auto& [name, each] : names) {
    list += (list.empty() ? "" : "|") + name;
  }
  const auto store = [&value, &names, option, list](const std::string& text) {
    const auto found = names.find(text);
    if (found == names.end()) {
      throw CLI::ValidationError(option, "'" + text + "' is unknown; choose " + list);
    }
    value = found->second;
  };
  return app.add_option_function<std::string>(option, store, description)->type_name(list);
}

// A time-out: nothing may wait for ever.
CLI::Option* add_timeout(CLI::App& app, const std::string& option, std::chrono::nanoseconds& value,
                         const std::string& description) {
  CLI::Option* const added = cli::add_duration(app, option, value, description);
  return added->check([option](const std::string& text) {
    const auto parsed = cli::parse_duration(text);
    return parsed && (*parsed < std::chrono::milliseconds(1) || *parsed > std::chrono::hours(1))
               ? "'" + text + "' is out of range; give 1ms to 1h"
               : std::string();
  });
}

template <class Value>
CLI::Option* add_count(CLI::App& app, const std::string& option, Value& value, Value least,
                       Value most, const std::string& description) {
  return app.add_option(option, value, description)
      ->check(CLI::Range(least, most))
      ->type_name("N")
      ->capture_default_str();
}

}  // namespace

std::string_view name(Model model) {
  return name_in(models, model);
}
std::string_view name(MemoryPolicy memory) {
  return name_in(memory_policies, memory);
}

std::optional<int> parse_options(int argc, const char* const* argv, ServerOptions& options) {
  CLI::App app(
      "Serves HTTP/1.x with one of two serving models over the same connection code and handlers.\n"
      "Writes a JSON line with its port when ready and one with its counters at the end;\n"
      "SIGTERM or SIGINT drains and ends it. Upon SIGUSR1 it writes a JSON line of its "
      "connections,\n"
      "threads and queue.",
      "spawnpool-server");
  Limits& limits = options.limits;
  WorkerPoolOptions& pool = options.pool;

  add_choice(app, "--model", options.model, models, "serving model")->required();
  CLI::Option* const memory = add_choice(
      app, "--memory", options.memory, memory_policies,
      "buffers and contexts made anew or recycled, which keeps what the largest body took, "
      "up to --max-body-bytes, for each worker or thread that there was at once [fresh "
      "for thread-per-connection, reused for worker-pool]");

  app.add_option("--address", options.address, "numeric address to listen on")
      ->type_name("ADDRESS")
      ->capture_default_str();
  add_count<std::uint16_t>(app, "--port", options.port, 0, 65535,
                           "port to listen on, 0 for a free one");
  add_count(app, "--backlog", options.backlog, 1, 65535,
            "connections that the kernel queues for accept");
  app.add_flag("--defer-accept", options.defer_accept,
               "accept a connection only when its first bytes are there: saves a thread switch for "
               "each, but a silent client is out of sight of every limit until --header-timeout");

  CLI::Option* const max_connections =
      add_count<std::size_t>(app, "--max-connections", options.max_connections, 0, 1'000'000,
                             "thread-per-connection: 503 above this many; 0 for no limit");
  const std::vector<CLI::Option*> pool_options = {
      add_count<std::size_t>(app, "--workers", pool.max_workers, 1, 100'000,
                             "worker-pool: most workers"),
      add_count<std::size_t>(app, "--min-workers", pool.min_workers, 0, 100'000,
                             "worker-pool: workers started ahead and never reaped"),
      add_count<std::size_t>(app, "--queue", pool.queue_capacity, 0, 1'000'000,
                             "worker-pool: connections that may wait for a worker"),
      add_choice(
          app, "--overflow", pool.overflow, overflows,
          "worker-pool: all busy and the queue full: answer 503, or stop accepting [reject]"),
      add_timeout(app, "--idle-worker-timeout", pool.idle_worker_timeout,
                  "worker-pool: a worker ready for longer is ended"),
  };

  add_count<std::size_t>(app, "--max-connections-per-address", options.max_connections_per_address,
                         0, 1'000'000, "429 above this many of one client address; 0 for no limit");
  add_count<std::uint64_t>(app, "--max-requests-per-connection", limits.max_requests, 0,
                           1'000'000'000, "close after this many; 0 for no limit");
  add_count<std::size_t>(app, "--max-header-bytes", limits.max_header_bytes, 128, 1024 * 1024,
                         "431 above, counted with the request line");
  add_count<std::uint64_t>(app, "--max-body-bytes", limits.max_body_bytes, 0,
                           std::uint64_t{1} << 30, "413 above");
  add_timeout(app, "--header-timeout", limits.header_timeout,
              "for a whole request header, from its first byte (408), and for that first byte on a "
              "new connection, which is closed without an answer");
  add_timeout(app, "--body-timeout", limits.body_timeout, "for a whole request body (408)");
  add_timeout(app, "--write-timeout", limits.write_timeout, "for one write of answers");
  add_timeout(app, "--idle-timeout", limits.idle_timeout,
              "between two requests of a connection, which is closed without an answer");
  add_timeout(app, "--drain-timeout", options.drain_timeout,
              "at the end, for requests under way; then they are cut");
  add_count(app, "--receive-spin", limits.receive_spin, 0U, 1'000'000U,
            "tries before blocking in recv: saves a thread switch on a busy core, wastes an idle "
            "one");

  if (const auto status = cli::parse(app, argc, argv)) {
    return status;
  }
  const auto usage_error = [](const std::string& message) {
    cli::print_error("spawnpool-server", message);
    return cli::exit_usage;
  };
  const bool is_pool = options.model == Model::worker_pool;
  if (is_pool && max_connections->count() > 0) {
    return usage_error("--max-connections is for --model thread-per-connection; give --workers");
  }
  for (const CLI::Option* option : pool_options) {
    if (!is_pool && option->count() > 0) {
      return usage_error(option->get_name() + " is for --model worker-pool; leave it out");
    }
  }
  if (pool.min_workers > pool.max_workers) {
    return usage_error("--min-workers is above --workers; lower it or raise --workers");
  }
  if (memory->count() == 0) {
    options.memory = is_pool ? MemoryPolicy::reused : MemoryPolicy::fresh;
  }
  return std::nullopt;
}

}  // namespace spawnpool
