// The pass that counts user instructions, with valgrind's callgrind, in processes of its own and
// never while timing.
#pragma once

#include "harness/trial/accounting_pass.hpp"
#include "harness/trial/result.hpp"

namespace spawnpool::trial {

// Starts the target anew three times under callgrind: C connections with a request each, 2 C with a
// request each, and C with K each. What a request and a connection cost is solved from the totals,
// so that start and end are in neither. Each request finds its thread asleep, as in the pass of the
// system calls. The kernel's instructions are not in them.
//
// Where counting is impossible (no valgrind, a target that does not run under it) the numbers are
// missing with the reason. Throws TrialFailure accounting-failed for what the target does wrong.
InstructionsResult count_instructions(const PassContext& context);

}  // namespace spawnpool::trial
