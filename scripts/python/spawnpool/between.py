"""Comparisons of a run with runs of the base: each target with itself, as it was then.

Only servers may differ between the runs. Counts are compared as they are. Sampled metrics are compared by
the medians of whole runs: trials of one run share the mood of the machine, so only runs tell how runs
differ, and a single run of the base tells nothing of it."""
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy

from spawnpool.comparison import Comparison, Draft, judge, lines_worth, unfinished
from spawnpool.documents import Json
from spawnpool.errors import UsageError, unknown
from spawnpool.load import load_of, point_title
from spawnpool.statistics import Runs

SAME_MACHINE = ("hostname", "kernel", "cpu_model", "affinity")
SAME_SUITE = (
    "scenarios",
    "driver",
    "warmup",
    "duration",
    "timeout",
    "accounting",
    "limits",
    "cpus",
)
SERVERS = ("spawnpool-server", "spawnpool-micro", "peer-")  # of the binaries: what is compared


@dataclass(frozen=True)
class Run:
    """A result with its summary, and where it was read from."""

    path: Path
    result: Json


def between(run: Run, bases: Sequence[Run], targets: Sequence[str] | None = None) -> Comparison:
    """Compares targets of a run, those named or all, with the same in runs of the base, one at least.
    UsageError where the runs differ in what has to be the same."""
    for base in bases:
        _check_comparable(run, base)
    _check_different([run, *bases])
    suite = run.result["suite"]
    names, notes = _common(run, bases, targets)
    faults: list[str] = []
    drafts: list[Draft] = []
    for here in [run, *bases]:
        notes += [f"{here.path}: {note}" for note in unfinished(here.result)]
    for index, entry in enumerate(run.result["summary"]):
        there = [base.result["summary"][index] for base in bases]
        for name in names:
            target, *olds = (_target(one, name) for one in [entry, *there])
            runs_of_base = any(old["trials"]["valid"] for old in olds)
            for where, told in zip([run, *bases], [target, *olds]):
                empty = not (told["trials"]["valid"] if where is run else runs_of_base)
                (faults if empty else notes).extend(_lost(where.path, entry, told))
            sides = (
                {
                    path: _merged([old["metrics"][path] for old in olds])
                    for path in target["metrics"]
                },
                target["metrics"],
            )
            for metric, how in lines_worth(suite, entry, sides):
                both = (sides[0][metric.path], sides[1][metric.path])
                medians = [old["metrics"][metric.path]["median"] for old in olds]
                sample = _sample(medians, both[1]["median"])
                place = (entry["scenario"], entry["point"], name, name)
                drafts.append(Draft(*place, metric, how, both, sample))
    lines, varying = judge(drafts)
    return Comparison(run.path, lines, notes, faults + varying, [base.path for base in bases])


def _sample(base: Sequence[float | None], target: float | None) -> Runs | None:
    """None where a median has no logarithm, or where there is none."""
    known = [median for median in base if median is not None]
    if target is None or not known or min(target, *known) <= 0:
        return None
    logs = numpy.array([math.log(median) for median in known])
    return Runs(logs, numpy.array(math.log(target)))


def _merged(sides: Sequence[Json]) -> Json:
    """What several runs tell of a metric, in the form of a summary."""
    known = [side for side in sides if side["median"] is not None]
    if not known:
        return sides[0]
    return {
        **known[0],
        "median": statistics.median(side["median"] for side in known),
        "min": min(side["min"] for side in known),
        "max": max(side["max"] for side in known),
    }


def _target(entry: Json, name: str) -> Json:
    (found,) = (target for target in entry["targets"] if target["target"] == name)
    assert isinstance(found, dict)
    return found


def _lost(path: Path, entry: Json, target: Json) -> Iterator[str]:
    counts, planned = target["trials"], entry["pairs_planned"]
    if counts["valid"] < planned:
        yield (
            f"{path}: {point_title(entry['scenario'], entry['point'])}: {counts['valid']} of {planned} "
            f"trials of {target['target']} are valid, {counts['invalid']} invalid, "
            f"{counts['failed']} failed"
        )


def _common(
    run: Run, bases: Sequence[Run], targets: Sequence[str] | None
) -> tuple[list[str], list[str]]:
    """The names of the targets to compare, and a note for each that not all runs have."""
    notes: list[str] = []
    own = {target["name"]: target for target in run.result["suite"]["targets"]}
    for name in targets or ():
        if name not in own:
            raise unknown("target", name, own)
    chosen = list(targets or own)
    for base in bases:
        theirs = {target["name"]: target for target in base.result["suite"]["targets"]}
        for name in list(chosen):
            if name not in theirs:
                chosen.remove(name)
                notes.append(f"{name} is not compared: {base.path} has no such target")
            elif theirs[name] != own[name]:
                raise UsageError(
                    f"{run.path} and {base.path} start the target '{name}' differently: "
                    "compare ways to start it within one run, as two targets"
                )
    if not chosen:
        raise UsageError(f"{run.path} has no target in common with the runs of the base")
    return chosen, notes


def _check_comparable(run: Run, base: Run) -> None:
    """UsageError for the first thing that has to be the same and is not."""
    both = f"{run.path} and {base.path}"
    mine, theirs = run.result["context"], base.result["context"]
    for key in SAME_MACHINE:
        if mine[key] != theirs[key]:
            raise UsageError(
                f"{both} are of different machines: {key} is {mine[key]} and {theirs[key]}; "
                "run both on one"
            )
    asked, then = run.result["suite"], base.result["suite"]
    for key in SAME_SUITE:
        if asked.get(key) != then.get(key):
            raise UsageError(
                f"{both} are of different suites: '{key}' differs; run both with the same"
            )
    for scenario in asked["scenarios"]:
        if any("rate_fraction" in load_of(scenario, point) for point in scenario["points"]):
            raise UsageError(
                f"{both} offer fractions of what each run measured as saturation, so their loads "
                f"differ in scenario '{scenario['name']}': compare targets within one run"
            )
    for name in sorted(mine["binaries"].keys() & theirs["binaries"].keys()):
        if not name.startswith(SERVERS) and mine["binaries"][name] != theirs["binaries"][name]:
            raise UsageError(
                f"{both} were measured by different builds of {name}: measure both by one, "
                "only servers may differ"
            )
    if asked["driver"] == "wrk" and mine["versions"]["wrk"] != theirs["versions"]["wrk"]:
        raise UsageError(f"{both} were measured by different versions of wrk: take one for both")


def _check_different(runs: Sequence[Run]) -> None:
    """UsageError where one run is there twice: it would seem that runs do not differ."""
    seen: dict[tuple[str, int], Path] = {}
    for run in runs:
        key = (run.result["context"]["date"], run.result["suite"]["seed"])
        if key in seen:
            raise UsageError(f"{seen[key]} and {run.path} are the same run: give each once")
        seen[key] = run.path
