#include "harness/load/report.hpp"

#include "harness/load/statistics.hpp"
#include "harness/load/steady_state.hpp"
#include "servers/cli/cli.hpp"

namespace spawnpool::load {
namespace {

using nlohmann::ordered_json;

double seconds(nanoseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

class Report {
 public:
  Report(const LoadOptions& options, const LoadOutcome& outcome)
      : options_(options), spec_(options.spec), outcome_(outcome), total_(outcome.total.recorder) {}

  ordered_json write(const std::vector<Doubt>& doubts,
                     const std::optional<Saturation>& saturation) {
    ordered_json report;
    report["schema_version"] = 1;
    report["version"] = cli::version();
    report["options"] = options();
    report["load"] = load();
    report["warmup"] = {{"duration_s", seconds(spec_.warmup)},
                        {"requests", total_.warmup_answers},
                        {"errors", total_.warmup_errors}};
    report["steady_state"] = steady_state();
    report["time_series"] = time_series();
    report["workers"] = workers();
    report["background"] = background();
    report["saturation"] = saturation ? to_json(*saturation) : null("saturation", "not asked for");
    report["validity"] = validity(doubts);
    report["unmeasured"] = unmeasured_;
    return report;
  }

 private:
  ordered_json null(const std::string& path, const std::string& reason) {
    unmeasured_[path] = reason;
    return nullptr;
  }

  ordered_json options() const {
    ordered_json json;
    json["urls"] = options_.urls;
    json["connections"] = spec_.connections;
    json["pipeline"] = spec_.pipeline;
    json["requests_per_connection"] = spec_.requests_per_connection;
    json["think_time_s"] = seconds(spec_.think_time);
    json["warmup_s"] = seconds(spec_.warmup);
    json["duration_s"] = seconds(spec_.duration);
    json["timeout_s"] = seconds(spec_.timeout);
    json["source_addresses"] = spec_.sources.size();
    if (const auto& loop = spec_.open_loop) {
      json["open_loop"] = {{"rate_rps", loop->rate},
                           {"arrivals", loop->burst > 0                       ? "burst"
                                        : loop->arrivals == Arrivals::poisson ? "poisson"
                                                                              : "uniform"},
                           {"burst", loop->burst},
                           {"burst_every_s", seconds(loop->burst_every)},
                           {"backlog", loop->backlog},
                           {"seed", loop->seed}};
    } else {
      json["open_loop"] = nullptr;
    }
    return json;
  }

  ordered_json statistics(const std::string& path, const Histogram& histogram,
                          const std::string& reason) {
    const auto found = statistics_of(histogram);
    if (!found) {
      return null(path, reason);
    }
    const auto whole = [](double value) { return static_cast<std::uint64_t>(value); };
    return {{"mean", found->mean},      {"p50", whole(found->p50)},     {"p90", whole(found->p90)},
            {"p99", whole(found->p99)}, {"p99_9", whole(found->p99_9)}, {"max", whole(found->max)}};
  }

  ordered_json encoded(const std::string& path, const Histogram& histogram,
                       const std::string& reason) {
    return histogram.count() == 0 ? null(path, reason) : ordered_json(histogram.encode());
  }

  ordered_json load() {
    ordered_json load;
    load["window_s"] = seconds(outcome_.window);
    load["requests"] = total_.answers_in_window;
    load["throughput_rps"] = throughput(outcome_);
    load["offered_rps"] =
        spec_.open_loop && outcome_.window > nanoseconds::zero()
            ? ordered_json(static_cast<double>(total_.counts.intended) / seconds(outcome_.window))
            : null("load.offered_rps", "closed loop: no rate is offered");
    load["counts"] = counts(total_.counts);
    ordered_json examples = ordered_json::object();
    for (std::size_t i = 0; i < error_class_names.size(); ++i) {
      load["errors"][error_class_names[i]] = total_.errors[i];
      if (!total_.examples[i].empty()) {
        examples[error_class_names[i]] = total_.examples[i];
      }
    }
    load["error_examples"] = examples;
    load["rejected"] = total_.rejected;
    for (std::size_t i = 1; i < total_.status_classes.size(); ++i) {
      load["status_classes"][std::to_string(i) + "xx"] = total_.status_classes[i];
    }
    load["bytes_received"] = outcome_.total.bytes_received;
    load["connections_opened"] = outcome_.total.connections_opened;
    load["reconnects"] = outcome_.total.reconnects;
    load["beyond_range"] = total_.beyond_range;

    const std::string none = "no answer in the window";
    const std::string closed = spec_.open_loop ? none : "closed loop: no send time is intended";
    load["latency_us"] = statistics("load.latency_us", total_.latency, none);
    load["latency_histogram"] = encoded("load.latency_histogram", total_.latency, none);
    load["wait_us"] = statistics("load.wait_us", total_.wait, closed);
    load["wait_histogram"] = encoded("load.wait_histogram", total_.wait, closed);
    load["first_byte_us"] = statistics("load.first_byte_us", total_.first_byte, none);
    load["first_byte_histogram"] = encoded("load.first_byte_histogram", total_.first_byte, none);

    ordered_json& generator = load["generator"];
    generator["cpu_utilization"] = cpu_utilization(outcome_);
    generator["busy_share"] = busy_share(spec_, outcome_);
    const auto lag = statistics_of(total_.lag);
    for (const auto& [name, value] : {std::pair{"send_lag_us", lag ? lag->p99 : 0},
                                      {"send_lag_p50_us", lag ? lag->p50 : 0},
                                      {"send_lag_max_us", lag ? lag->max : 0}}) {
      generator[name] = lag ? ordered_json(value)
                            : null(std::string("load.generator.") + name,
                                   spec_.open_loop ? "no arrival found a connection free" : closed);
    }
    const std::chrono::duration<double, std::micro> away = outcome_.total.away;
    generator["away_us"] = spec_.pacing == Pacing::busy_poll
                               ? ordered_json(away.count())
                               : null("load.generator.away_us", "only known when it polls");
    generator["threads"] = outcome_.workers.size();
    generator["pacing"] = spec_.pacing == Pacing::busy_poll ? "busy-poll" : "sleep";
    generator["cpus"] = spec_.cpus;
    return load;
  }

  static ordered_json counts(const Counts& counts) {
    return {{"intended", counts.intended},     {"sent", counts.sent},
            {"answered", counts.answered},     {"failed", counts.failed},
            {"unfinished", counts.unfinished}, {"dropped", counts.dropped},
            {"unsent", counts.unsent}};
  }

  ordered_json steady_state() const {
    const SteadyState state = judge_steady_state(total_.intervals, outcome_.window);
    ordered_json json;
    json["steady"] = state.steady ? ordered_json(*state.steady) : ordered_json(nullptr);
    json["evidence"] = ordered_json::array();
    for (const Change& change : state.evidence) {
      json["evidence"].push_back(
          {{"series", change.series},
           {"kind", change.kind},
           {"p_value", change.p_value},
           {"before", change.before},
           {"after", change.after},
           {"at_s", static_cast<double>(change.at) * seconds(Recorder::interval)}});
    }
    json["reason"] = state.steady ? ordered_json(nullptr) : ordered_json(state.reason);
    return json;
  }

  ordered_json time_series() const {
    ordered_json json = {{"interval_s", seconds(Recorder::interval)}};
    for (const char* name : {"sent", "answered", "errors", "latency_mean_us", "latency_max_us",
                             "in_flight", "backlog"}) {
      json[name] = ordered_json::array();
    }
    for (const Interval& interval : total_.intervals) {
      json["sent"].push_back(interval.sent);
      json["answered"].push_back(interval.answered);
      json["errors"].push_back(interval.errors);
      const bool any = interval.answered > 0;  // null: there is no latency without an answer
      json["latency_mean_us"].push_back(
          any ? ordered_json(static_cast<double>(interval.latency_sum_us) /
                             static_cast<double>(interval.answered))
              : ordered_json(nullptr));
      json["latency_max_us"].push_back(any ? ordered_json(interval.latency_max_us)
                                           : ordered_json(nullptr));
      json["in_flight"].push_back(interval.in_flight);
      json["backlog"].push_back(interval.backlog);
    }
    return json;
  }

  ordered_json workers() const {
    ordered_json json = ordered_json::array();
    for (const WorkerResult& worker : outcome_.workers) {
      json.push_back({{"requests", worker.recorder.answers_in_window},
                      {"counts", counts(worker.recorder.counts)},
                      {"cpu_s", seconds(worker.cpu)}});
    }
    return json;
  }

  ordered_json background() {
    if (spec_.background.total() == 0) {
      return null("background", "there were no background clients");
    }
    const BackgroundCounts& counts = outcome_.total.background;
    ordered_json json;
    for (const auto& [name, kind] : {std::pair{"idle", counts.idle},
                                     {"slow_senders", counts.slow_senders},
                                     {"slow_readers", counts.slow_readers}}) {
      json[name] = {{"open", kind.open},
                    {"answers", kind.answers},
                    {"closed_by_server", kind.closed_by_server},
                    {"errors", kind.errors}};
    }
    return json;
  }

  ordered_json to_json(const Saturation& saturation) {
    ordered_json json;
    json["bound"] = options_.saturation->text;
    json["rate_rps"] = saturation.rate_rps
                           ? ordered_json(*saturation.rate_rps)
                           : null("saturation.rate_rps", "no rate that was tried held the bound");
    json["steps"] = ordered_json::array();
    const auto or_null = [](const auto& value) {
      return value ? ordered_json(*value) : ordered_json(nullptr);
    };
    for (const SaturationStep& step : saturation.steps) {
      json["steps"].push_back(
          {{"rate", step.offered_rps},
           {"achieved", step.achieved_rps},
           {"p50_us", or_null(step.p50_us)},
           {"p99_us", or_null(step.p99_us)},
           {"holds", step.holds},
           {"reason", step.holds ? ordered_json(nullptr) : ordered_json(step.reason)}});
    }
    return json;
  }

  static ordered_json validity(const std::vector<Doubt>& doubts) {
    ordered_json json = {{"valid", doubts.empty()}, {"reasons", ordered_json::array()}};
    for (const Doubt& doubt : doubts) {
      json["reasons"].push_back({{"code", doubt.code}, {"message", doubt.message}});
    }
    return json;
  }

  const LoadOptions& options_;
  const LoadSpec& spec_;
  const LoadOutcome& outcome_;
  const Recorder& total_;
  ordered_json unmeasured_ = ordered_json::object();
};

}  // namespace

ordered_json to_json(const LoadOptions& options, const LoadOutcome& outcome,
                     const std::vector<Doubt>& doubts,
                     const std::optional<Saturation>& saturation) {
  return Report(options, outcome).write(doubts, saturation);
}

}  // namespace spawnpool::load
