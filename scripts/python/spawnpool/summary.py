"""The `summary` of a result: medians of each target and ratios of pairs, per scenario and point."""
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy

from spawnpool.documents import Json
from spawnpool.metrics import METRICS, Metric, varies
from spawnpool.plan import PAIRS_PER_BLOCK, planned_points, trial_round
from spawnpool.statistics import Array, paired_ratio, pairs_needed
from spawnpool.values import PairedValues, Round, Values

_encode = json.JSONEncoder(sort_keys=True).encode  # json.dumps would make one each time

ALPHA = 0.05  # of an interval, where a run has one look

Rounds = dict[str, dict[Round, Json]]  # target -> round -> its trial


@dataclass(frozen=True)
class Place:
    """A scenario and planned point with its trials of all targets."""

    scenario: str
    point: Json
    rounds: Rounds

    @cached_property
    def values(self) -> dict[str, Values]:
        """What the valid trials of each target have of all metrics."""
        return {name: Values(trials) for name, trials in self.rounds.items()}


def summarize(suite: Json, trials: list[Json]) -> list[Json]:
    """One entry per scenario and planned point, in the suite's order. Only valid trials count.

    `suite` is that of a result."""
    return [summarize_place(suite, place) for place in places(suite, trials)]


def summarize_place(suite: Json, place: Place) -> Json:
    """The entry of a summary for one place."""
    values, alpha = place.values, ALPHA / look_count(suite)
    first, *others = place.rounds
    return {
        "scenario": place.scenario,
        "point": place.point,
        "pairs_planned": PAIRS_PER_BLOCK * suite["blocks"],
        "targets": [
            _summarize_target(name, trials, values[name]) for name, trials in place.rounds.items()
        ],
        "comparisons": [_compare(first, other, values, alpha) for other in others],
    }


def look_count(suite: Json) -> int:
    """How often the run was to look at its pairs, its end included."""
    return len(suite.get("looks", [suite["blocks"]]))


def places(suite: Json, trials: list[Json]) -> Iterator[Place]:
    """Every scenario and planned point, in the suite's order, as are the targets of each."""
    names = [target["name"] for target in suite["targets"]]
    found: dict[str, Rounds] = {}
    for trial in trials:
        here = found.setdefault(_place(trial["scenario"], trial["point"]), {})
        here.setdefault(trial["target"], {})[trial_round(trial, len(names))] = trial
    for scenario in suite["scenarios"]:
        for point in planned_points(suite["planned"], scenario["name"]):
            there = found.get(_place(scenario["name"], point), {})
            yield Place(scenario["name"], point, {name: there.get(name, {}) for name in names})


def _place(scenario: str, point: Json) -> str:
    return _encode([scenario, point])


def valid_pairs(base: dict[Round, Json], other: dict[Round, Json]) -> list[tuple[Json, Json]]:
    """The trials of two targets that ran in one round and are valid both."""
    base, other = _valid(base), _valid(other)
    return [(base[key], other[key]) for key in sorted(base) if key in other]


def _valid(trials: dict[Any, Json]) -> dict[Any, Json]:
    return {key: trial for key, trial in trials.items() if trial["status"] == "valid"}


def _summarize_target(name: str, trials: dict[Round, Json], values: Values) -> Json:
    valid = list(_valid(trials).values())
    counts = {
        status: sum(trial["status"] == status for trial in trials.values())
        for status in ("valid", "invalid", "failed")
    }
    metrics = {
        metric.path: _summarize_metric(metric, values.measured(metric), valid) for metric in METRICS
    }
    return {"target": name, "trials": counts, "metrics": metrics}


def _summarize_metric(metric: Metric, measured: Array, trials: list[Json]) -> Json:
    entry: Json = {"median": None, "min": None, "max": None, "trials": len(measured)}
    entry.update(exact=metric.exact, varies=False, reason=None)
    if len(measured) > 0:
        low, high = float(measured.min()), float(measured.max())
        entry.update(median=float(numpy.median(measured)), min=low, max=high)
        entry["varies"] = metric.exact and varies((low, high), metric.gate.margin or 0.0)
    else:
        entry["reason"] = metric.reason(trials[0]) if trials else "no valid trial"
    return entry


def _compare(base: str, other: str, values: dict[str, Values], alpha: float) -> Json:
    pairs = PairedValues(values[base], values[other])
    ratios = {metric.path: _metric_ratio(metric, *pairs.of(metric), alpha) for metric in METRICS}
    return {"base": base, "target": other, "ratios": ratios}


def _metric_ratio(metric: Metric, base: Array, other: Array, alpha: float) -> Json:
    """A pair that lacks the metric on a side does not count. A value of 0 has no logarithm: one is
    no ground to leave a pair out, so it leaves the metric without a ratio of pairs."""
    entry: Json = {"ratio": None, "interval": None, "coverage": None}
    entry.update(pairs=len(base), reason=None)
    if len(base) == 0:
        entry["reason"] = "no pair of valid trials has it"
    elif metric.exact:
        entry["reason"] = "exact: counted, not sampled; no interval"
        if numpy.median(base) == 0:
            entry["reason"] = "the base counts 0"
        else:
            entry["ratio"] = float(numpy.median(other) / numpy.median(base))
    elif min(base.min(), other.min()) <= 0:
        entry["reason"] = "a value of 0 has no logarithm"
    else:
        result = paired_ratio(base, other, alpha)
        entry.update(ratio=result.ratio, interval=result.interval and list(result.interval))
        entry["coverage"] = result.coverage
        if result.interval is None:
            entry["reason"] = f"an interval needs {pairs_needed(alpha)} pairs"
    return entry
