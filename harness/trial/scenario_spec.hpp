// How a scenario is read, and what each driver can make of it.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

#include "harness/trial/spec.hpp"

namespace spawnpool::trial {

// Reads a scenario with the point merged over it. Throws cli::UsageError, also for keys that
// exclude each other.
ScenarioSpec read_scenario(const nlohmann::json& merged);

// Throws cli::UsageError for what `driver` cannot do, or not within a window of `duration`.
void require_possible(const ScenarioSpec& scenario, const std::string& driver,
                      std::chrono::nanoseconds duration);

}  // namespace spawnpool::trial
