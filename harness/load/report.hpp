// The report of a load as JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "harness/load/judgement.hpp"
#include "harness/load/options.hpp"
#include "harness/load/run.hpp"
#include "harness/load/saturation.hpp"

namespace spawnpool::load {

// Every key of the report is there; each null is named under "unmeasured" with its reason. `doubts`
// are those of judge().
nlohmann::ordered_json to_json(const LoadOptions& options, const LoadOutcome& outcome,
                               const std::vector<Doubt>& doubts,
                               const std::optional<Saturation>& saturation);

}  // namespace spawnpool::load
