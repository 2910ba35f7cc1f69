"""How long the trials of a suite take, and how many blocks fit into its budget.

What a trial does beside its warm-up and window was measured on a quiet shared virtual machine with two
cores, as medians of results of `peers`, `churn`, `quick` and `costs`. A slow or busy machine takes
longer: a result tells what was expected and what it took (`run`), and each trial its own (`elapsed_s`).
"""
import math

from spawnpool.calibration import calibration_plan, calibration_suite
from spawnpool.documents import Json
from spawnpool.durations import seconds
from spawnpool.errors import UsageError
from spawnpool.load import load_of
from spawnpool.plan import PAIRS_PER_BLOCK, PlannedTrial, draw_plan
from spawnpool.statistics import MINIMUM_PAIRS
from spawnpool.suite import trial_spec

# Seconds.
TRIAL = 0.07  # to start, check and stop a target, and to record the trial
CONNECTION = 0.0003  # to open and close one, its thread included
ALLOCATIONS = 0.12  # the target once more, with its allocations counted
SYSTEM_CALLS = 0.5  # traced
INSTRUCTIONS = 5.0  # under valgrind, which translates the program first
MICRO = 2.0  # times min_time, for a benchmark: Google Benchmark looks for the iterations first


def trial_seconds(suite: Json, planned: PlannedTrial) -> float:
    """The expected duration of one trial."""
    spec = trial_spec(suite, planned, seed=0)
    load = load_of(spec["scenario"], spec["point"])
    background = load.get("background", {})
    clients: int = load["connections"] + sum(
        background.get(kind, 0) for kind in ("idle", "slow_senders", "slow_readers")
    )
    accounting = spec["accounting"] or {}
    load_seconds = (
        seconds(spec["warmup"]) + seconds(spec["duration"]) + TRIAL + CONNECTION * clients
    )
    return (
        load_seconds
        + (load_seconds if accounting.get("perf") else 0.0)
        + (ALLOCATIONS if accounting else 0.0)
        + (SYSTEM_CALLS if accounting.get("syscalls") else 0.0)
        + (INSTRUCTIONS if accounting.get("instructions") else 0.0)
    )


def calibration_seconds(suite: Json) -> float:
    """The expected duration of the calibration, 0 for a suite without rate fractions."""
    return _sum(calibration_suite(suite), calibration_plan(suite))


def block_seconds(suite: Json) -> tuple[float, float]:
    """The expected duration of the first block, in which more is counted, and of each other."""
    plan = draw_plan({**suite, "blocks": 2}, seed=0)  # the order is of no matter
    first, other = ([planned for planned in plan if planned.block == block] for block in (0, 1))
    return _sum(suite, first), _sum(suite, other)


def micro_seconds(suite: Json, benchmarks: int) -> float:
    """The expected duration of the micro-benchmarks, of which the suite's filter finds so many."""
    if "micro" not in suite:
        return 0.0
    repetitions: int = suite["micro"]["repetitions"]
    return repetitions * benchmarks * MICRO * seconds(suite["micro"]["min_time"])


def expected_seconds(suite: Json, benchmarks: int) -> float:
    """The expected duration of the whole."""
    first, other = block_seconds(suite)
    blocks: float = first + (suite["blocks"] - 1) * other
    return calibration_seconds(suite) + blocks + micro_seconds(suite, benchmarks)


def fitting_blocks(suite: Json, benchmarks: int) -> int:
    """How many of the suite's blocks fit into its budget; all of them without one. UsageError when not
    even one does."""
    blocks: int = suite["blocks"]
    if "budget" not in suite or expected_seconds(suite, benchmarks) <= seconds(suite["budget"]):
        return blocks
    first, other = block_seconds(suite)
    least = expected_seconds({**suite, "blocks": 1}, benchmarks)
    left = seconds(suite["budget"]) - least
    if left < 0:
        raise UsageError(
            f"not one block fits into the budget of {suite['budget']}: it takes {readable(least)}; "
            "give more, or measure less (--targets, --set duration=...)"
        )
    return min(blocks, 1 + int(left / other))


def cut_words(suite: Json, asked: int) -> str:
    """Says in a line that the budget left the suite fewer blocks than `asked`."""
    pairs = PAIRS_PER_BLOCK * suite["blocks"]
    words = f"{suite['blocks']} of {asked} blocks fit into the budget of {suite['budget']}: {pairs} pairs"
    return f"{words}, too few for an interval" if pairs < MINIMUM_PAIRS else words


def readable(duration_s: float) -> str:
    """A duration for people: "58 s", "9 min 31 s", "1 h 20 min"."""
    whole = round(duration_s)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _sum(suite: Json, plan: list[PlannedTrial]) -> float:
    return math.fsum(trial_seconds(suite, planned) for planned in plan)
