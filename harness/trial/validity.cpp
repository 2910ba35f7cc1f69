#include "harness/trial/validity.hpp"

#include <iomanip>
#include <sstream>

namespace spawnpool::trial {
namespace {

// A generator this busy had no time left to ask for more ...
constexpr double most_busy = 0.97;
// ... of a server whose cores were idle for more than this.
constexpr double most_idle = 0.10;
// The lag is a part of every latency in the open loop.
constexpr double send_lag_limit_us = 1000;
constexpr double least_share_sent = 0.99;

std::string percent(double share, int digits) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(digits) << 100 * share << " %";
  return text.str();
}

void judge_errors(const LoadQuality& quality, double limit, std::vector<Reason>& reasons) {
  if (quality.error_share > limit) {
    reasons.push_back({"error-share", percent(quality.error_share, 3) +
                                          " of the requests failed, allowed are " +
                                          percent(limit, 3)});
  }
  // The load was smaller from then on.
  if (quality.lost_connections > 0) {
    reasons.push_back({"error-share", "wrk lost " + std::to_string(quality.lost_connections) +
                                          " of its connections for good (out of local ports or "
                                          "descriptors?)"});
  }
}

void judge_closed_loop(const LoadQuality& quality, const Circumstances& circumstances,
                       std::vector<Reason>& reasons) {
  if (!circumstances.shared_core && quality.generator_busy >= most_busy &&
      circumstances.server_idle > most_idle) {
    reasons.push_back({"generator-bound", "the generator was busy for " +
                                              percent(quality.generator_busy, 0) +
                                              " of its time, the server's cores idle for " +
                                              percent(circumstances.server_idle, 0) +
                                              ": the generator was the limit"});
  }
}

void judge_open_loop(const LoadQuality& quality, const RateQuality& rate,
                     const Circumstances& circumstances, std::vector<Reason>& reasons) {
  if (!circumstances.shared_core && quality.generator_busy >= most_busy) {
    reasons.push_back({"generator-bound", "the generator was busy for " +
                                              percent(quality.generator_busy, 0) +
                                              " of its time: it was the limit"});
  } else if (rate.send_lag_us > send_lag_limit_us) {
    std::ostringstream text;
    text << "the generator sent its requests up to " << std::fixed << std::setprecision(0)
         << rate.send_lag_us << " us late (p99), allowed are " << send_lag_limit_us << " us";
    reasons.push_back({"generator-bound", text.str()});
  }
  const double share_sent =
      rate.intended == 0 ? 1 : static_cast<double>(rate.sent) / static_cast<double>(rate.intended);
  if (!circumstances.shut_down && share_sent < least_share_sent) {
    reasons.push_back(
        {"rate-missed", "only " + percent(share_sent, 1) + " of the offered requests were sent"});
  }
}

void judge_share(const Measured<double>& measured, const std::optional<double>& limit,
                 const char* code, const char* words, const std::string& name,
                 std::vector<Reason>& reasons) {
  const double* const share = measured.value();
  if (share != nullptr && limit && *share > *limit) {
    reasons.push_back({code, std::string(words) + " took " + percent(*share, 2) +
                                 " of the cores' time (machine." + name + "), allowed are " +
                                 percent(*limit, 2) + " (limits." + name + ")"});
  }
}

}  // namespace

std::vector<Reason> doubts(const LoadQuality& quality, const Circumstances& circumstances) {
  std::vector<Reason> reasons;
  if (!circumstances.shut_down) {
    judge_errors(quality, circumstances.error_share_limit, reasons);
  }
  if (!quality.background_missed.empty()) {
    reasons.push_back({"background-missed", quality.background_missed});
  }
  if (quality.rate) {
    judge_open_loop(quality, *quality.rate, circumstances, reasons);
  } else if (!circumstances.shut_down) {
    judge_closed_loop(quality, circumstances, reasons);
  }
  return reasons;
}

std::vector<Reason> disturbances(const MachineResult& machine, const LimitsSpec& limits) {
  std::vector<Reason> reasons;
  judge_share(machine.foreign_cpu_share, limits.foreign_cpu_share, "foreign-cpu",
              "other work on the machine", "foreign_cpu_share", reasons);
  judge_share(machine.steal_share, limits.steal_share, "steal", "the hypervisor", "steal_share",
              reasons);
  return reasons;
}

}  // namespace spawnpool::trial
