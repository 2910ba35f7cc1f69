"""Runs spawnpool-trial for one planned trial."""
import json
import time
from pathlib import Path

from spawnpool.child import Interruption, run_child
from spawnpool.context import utc_now
from spawnpool.cool_down import CoolDown
from spawnpool.documents import Json
from spawnpool.durations import seconds
from spawnpool.errors import Unmeasured, UsageError
from spawnpool.results import InvalidResult, ResultSchema

# Beside its warm-up and window a trial starts and stops its target for checks and for accounting. It
# bounds each of these waits itself; this bound is for a trial that hangs all the same.
OVERHEAD_SECONDS = 120
STARTS = 4


def run_trial(
    binary: Path,
    spec: Json,
    schema: ResultSchema,
    interruption: Interruption,
    cool_down: CoolDown,
    first: bool = False,
) -> Json | None:
    """Runs one trial, after a cool-down, and returns its result, or None when the user interrupted it.

    A trial that crashes, hangs or prints no TrialResult of its own spec gives a failed one with
    the reason `trial-crashed`. UsageError when the trial refuses its spec, and when the `first` of a run
    prints a result of another form: so would all that follow."""
    try:
        before, reasons = cool_down.wait(), {}
    except Unmeasured as reason:
        before, reasons = None, {"before": str(reason)}
    started_at, started = utc_now(), time.monotonic()
    load_seconds = sum(seconds(spec[key]) for key in ("warmup", "duration", "timeout"))
    loads = 2 if (spec.get("accounting") or {}).get("perf") else 1
    bound = OVERHEAD_SECONDS + loads * load_seconds
    bound += STARTS * sum(seconds(spec["limits"].get(key, "0s")) for key in ("ready", "stop"))
    ended = run_child([binary, "-"], json.dumps(spec), bound, interruption)

    elapsed = time.monotonic() - started
    if ended.status == 2:
        raise UsageError(
            (ended.words.strip() or "spawnpool-trial refused its spec").splitlines()[-1]
        )
    fault = ended.fault
    if fault is None and ended.status not in (0, 1):
        fault = f"exited {ended.status}"
    if fault is None:
        try:
            result: Json = {**json.loads(ended.output), "before": before, "elapsed_s": elapsed}
            result["unmeasured"] = {**result["unmeasured"], **reasons}
            schema.check_trial(result)
            _check_echo(result, spec)
            # Ctrl-C may reach the target as well: what failed then did not fail by itself.
            disturbed = interruption.signal is not None and result["status"] != "valid"
            return None if disturbed else result
        except (ValueError, LookupError, TypeError, RecursionError, InvalidResult) as error:
            if first and isinstance(error, InvalidResult):
                raise UsageError(
                    f"{binary} is of another version than these scripts ({error}): build it again with "
                    "'cmake --build --preset release'"
                ) from error
            fault = f"printed no TrialResult of its spec: {error}"
    if interruption.signal is not None:
        return None
    message = f"spawnpool-trial {fault}{ended.last_words}"
    return schema.failed_trial(
        spec, started_at, "trial-crashed", message, before=before, elapsed_s=elapsed
    )


def _check_echo(result: Json, spec: Json) -> None:
    """Guards the plan: a result must name the trial that was asked for."""
    expected = {"target": spec["target"]["name"], "scenario": spec["scenario"]["name"]}
    expected.update({key: spec[key] for key in ("point", "block", "position", "seed", "driver")})
    for key, value in expected.items():
        if result[key] != value:
            raise InvalidResult(f"{key} is {result[key]!r} where {value!r} was asked")
