"""The micro-benchmarks of a run: spawnpool-micro is run, and what it reports is taken over."""
import json
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spawnpool import paths
from spawnpool.child import Interruption, run_child
from spawnpool.documents import Json
from spawnpool.durations import seconds
from spawnpool.errors import UsageError

PROGRAM = "spawnpool-micro"
LIST_SECONDS = 20
# Google Benchmark runs a benchmark several times to find out how many iterations take the time asked
# for, and where only a part is timed the rest takes time too. A program that is slower hangs.
OVERHEAD_SECONDS = 60
OVERHEAD_FACTOR = 50

# Names of Google Benchmark; what its versions tell beyond these is left out.
DESCRIBED = (
    "name",
    "family_index",
    "per_family_instance_index",
    "run_name",
    "run_type",
    "repetitions",
    "repetition_index",
    "threads",
    "time_unit",
    "error_message",
)
MEASURED = ("iterations", "real_time", "cpu_time", "allocs_per_iter", "max_bytes_used")
NANOSECONDS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
# What Google Benchmark appends to a name to say which time it tells.
TIMING = ("/process_time", "/manual_time", "/real_time")


def micro_names(asked: Json) -> list[str]:
    """The benchmarks that a suite's `micro` asks for. UsageError where there are none, and without
    spawnpool-micro."""
    command = [str(paths.binary(PROGRAM)), "--benchmark_list_tests", _filter(asked)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=LIST_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"{PROGRAM} did not list its benchmarks: build it again") from error
    names = done.stdout.split()
    if done.returncode != 0 or not names:
        raise UsageError(
            f"micro.filter: '{asked['filter']}' is no regular expression that finds a benchmark: "
            f"see {PROGRAM} --benchmark_list_tests"
        )
    return names


def micro_planned(suite: Json) -> range:
    """The indices of the repetitions that a suite, or that of a result, asks for."""
    return range(suite["micro"]["repetitions"] if "micro" in suite else 0)


def micro_done(micro: Sequence[Json]) -> set[int]:
    """The repetitions that a result has."""
    return {entry["repetition_index"] for entry in micro}


def run_micro(
    names: Sequence[str], asked: Json, index: int, interruption: Interruption
) -> list[Json] | None:
    """Runs the benchmarks once, for the repetition of this index, and returns an entry of the result's
    `micro` for each, or None when the user interrupted it. What fails is an entry as well, with
    `error_message`; one of the name spawnpool-micro stands for a program that crashed, hung or
    printed no JSON.

    A process for each repetition: a benchmark's time depends on where its process has its memory, so
    that repetitions within one agree more than they should."""
    command: list[str | Path] = [
        paths.bin_dir() / PROGRAM,
        _filter(asked),
        f"--benchmark_min_time={seconds(asked['min_time'])}",
        "--benchmark_enable_random_interleaving=true",  # in another order each time
        "--benchmark_format=json",
    ]
    bound = OVERHEAD_SECONDS + OVERHEAD_FACTOR * len(names) * seconds(asked["min_time"])
    repetition = {"repetitions": asked["repetitions"], "repetition_index": index}
    try:
        ended = run_child(command, "", bound, interruption)
    except OSError as error:
        return [_crashed(repetition, f"cannot be started: {error.strerror}")]
    if interruption.signal is not None:
        return None
    fault = ended.fault
    if fault is None and ended.status != 0:
        fault = f"exited {ended.status}"
    if fault is None:
        try:
            runs = json.loads(ended.output)["benchmarks"]
            if len(runs) == len(names):
                return [_entry({**run, **repetition}) for run in sorted(runs, key=_place)]
            fault = f"ran {len(runs)} of {len(names)} benchmarks"
        except (ValueError, LookupError, TypeError) as error:
            fault = f"printed no report of Google Benchmark: {error!r}"
    return [_crashed(repetition, fault + ended.last_words)]


def _filter(asked: Json) -> str:
    return f"--benchmark_filter={asked['filter']}"


def _place(run: Json) -> tuple[int, int]:
    return run["family_index"], run["per_family_instance_index"]


def _entry(run: Json) -> Json:
    entry: Json = {key: run[key] for key in DESCRIBED + MEASURED if key in run}
    entry.update(error_occurred=run.get("error_occurred", False), unmeasured={})
    for key in MEASURED:
        if entry["error_occurred"]:  # Google Benchmark writes 0
            entry[key] = None
            entry["unmeasured"][key] = entry["error_message"]
        elif key not in entry:
            entry[key] = None
            entry["unmeasured"][
                key
            ] = "this build does not count allocations (its malloc is another's)"
    return entry


def _crashed(repetition: Json, fault: str) -> Json:
    run: Json = {"name": PROGRAM, "run_name": PROGRAM, "run_type": "iteration", **repetition}
    run.update(threads=1, time_unit="ns", error_occurred=True, error_message=f"{PROGRAM} {fault}")
    return _entry(run)


@dataclass(frozen=True)
class MicroMedians:
    """A benchmark over its repetitions without an error; None where there is none. Times in
    nanoseconds per iteration; `real_times` are those of each repetition."""

    name: str
    real_times: list[float]
    real_time: float | None
    cpu_time: float | None
    allocations: float | None


def micro_medians(micro: Sequence[Json]) -> list[MicroMedians]:
    """One for each benchmark, in the order in which they were reported."""
    runs: dict[str, list[Json]] = {}
    for entry in micro:
        runs.setdefault(entry["run_name"], []).append(entry)
    return [_medians(name, entries) for name, entries in runs.items()]


def _medians(name: str, entries: list[Json]) -> MicroMedians:
    def times(key: str) -> list[float]:
        return [e[key] * NANOSECONDS[e["time_unit"]] for e in entries if e[key] is not None]

    def median(values: list[float]) -> float | None:
        return statistics.median(values) if values else None

    real = times("real_time")
    for suffix in TIMING:
        name = name.replace(suffix, "")
    return MicroMedians(
        name=name,
        real_times=real,
        real_time=median(real),
        cpu_time=median(times("cpu_time")),
        allocations=median(
            [e["allocs_per_iter"] for e in entries if e["allocs_per_iter"] is not None]
        ),
    )


def micro_failures(micro: Sequence[Json]) -> list[str]:
    """One line per run that ended with an error."""
    return [
        " ".join(f"failed: {entry['name']}: {entry['error_message']}".split())
        for entry in micro
        if entry["error_occurred"]
    ]
