"""The `summary` of a result: medians of each target and ratios of pairs, per scenario and point."""
import json
import statistics
from collections.abc import Iterator
from typing import Any

from spawnpool.documents import Json
from spawnpool.metrics import METRICS, Metric, varies
from spawnpool.plan import PAIRS_PER_BLOCK, planned_points, trial_round
from spawnpool.statistics import paired_ratio, pairs_needed

ALPHA = 0.05  # of an interval, where a run has one look

Rounds = dict[str, dict[tuple[int, int], Json]]  # target -> round -> its trial


def summarize(suite: Json, trials: list[Json]) -> list[Json]:
    """One entry per scenario and planned point, in the suite's order. Only valid trials count.

    `suite` is that of a result."""
    names = [target["name"] for target in suite["targets"]]
    return [
        {
            "scenario": scenario,
            "point": point,
            "pairs_planned": PAIRS_PER_BLOCK * suite["blocks"],
            "targets": [_summarize_target(name, rounds[name]) for name in names],
            "comparisons": [
                _compare(names[0], other, rounds, ALPHA / look_count(suite)) for other in names[1:]
            ],
        }
        for scenario, point, rounds in places(suite, trials)
    ]


def look_count(suite: Json) -> int:
    """How often the run was to look at its pairs, its end included."""
    return len(suite.get("looks", [suite["blocks"]]))


def places(suite: Json, trials: list[Json]) -> Iterator[tuple[str, Json, Rounds]]:
    """Every scenario and planned point with its trials of all targets, in the suite's order."""
    names = [target["name"] for target in suite["targets"]]
    found: dict[str, Rounds] = {}
    for trial in trials:
        here = found.setdefault(_place(trial["scenario"], trial["point"]), {})
        here.setdefault(trial["target"], {})[trial_round(trial, len(names))] = trial
    for scenario in suite["scenarios"]:
        for point in planned_points(suite["planned"], scenario["name"]):
            there = found.get(_place(scenario["name"], point), {})
            yield scenario["name"], point, {name: there.get(name, {}) for name in names}


def _place(scenario: str, point: Json) -> str:
    return json.dumps([scenario, point], sort_keys=True)


def valid_pairs(
    base: dict[tuple[int, int], Json], other: dict[tuple[int, int], Json]
) -> list[tuple[Json, Json]]:
    """The trials of two targets that ran in one round and are valid both."""
    base, other = _valid(base), _valid(other)
    return [(base[key], other[key]) for key in sorted(base) if key in other]


def paired_values(metric: Metric, pairs: list[tuple[Json, Json]]) -> list[tuple[float, float]]:
    """The metric of the pairs that have it on both sides."""
    both = ((metric.value(a), metric.value(b)) for a, b in pairs)
    return [(a, b) for a, b in both if a is not None and b is not None]


def _valid(trials: dict[Any, Json]) -> dict[Any, Json]:
    return {key: trial for key, trial in trials.items() if trial["status"] == "valid"}


def _summarize_target(name: str, trials: dict[tuple[int, int], Json]) -> Json:
    valid = list(_valid(trials).values())
    counts = {
        status: sum(trial["status"] == status for trial in trials.values())
        for status in ("valid", "invalid", "failed")
    }
    metrics = {metric.path: _summarize_metric(metric, valid) for metric in METRICS}
    return {"target": name, "trials": counts, "metrics": metrics}


def _summarize_metric(metric: Metric, trials: list[Json]) -> Json:
    measured = [v for v in map(metric.value, trials) if v is not None]
    entry: Json = {"median": None, "min": None, "max": None, "trials": len(measured)}
    entry.update(exact=metric.exact, varies=False, reason=None)
    if measured:
        low, high = min(measured), max(measured)
        entry.update(median=statistics.median(measured), min=low, max=high)
        entry["varies"] = metric.exact and varies(measured, metric.gate.margin or 0.0)
    else:
        entry["reason"] = metric.reason(trials[0]) if trials else "no valid trial"
    return entry


def _compare(base: str, other: str, rounds: Rounds, alpha: float) -> Json:
    pairs = valid_pairs(rounds[base], rounds[other])
    return {
        "base": base,
        "target": other,
        "ratios": {metric.path: _metric_ratio(metric, pairs, alpha) for metric in METRICS},
    }


def _metric_ratio(metric: Metric, pairs: list[tuple[Json, Json]], alpha: float) -> Json:
    """A pair that lacks the metric on a side does not count. A value of 0 has no logarithm: one is
    no ground to leave a pair out, so it leaves the metric without a ratio of pairs."""
    values = paired_values(metric, pairs)
    entry: Json = {"ratio": None, "interval": None, "coverage": None}
    entry.update(pairs=len(values), reason=None)
    if not values:
        entry["reason"] = "no pair of valid trials has it"
        return entry
    base, other = zip(*values)
    if metric.exact:
        entry["reason"] = "exact: counted, not sampled; no interval"
        if statistics.median(base) == 0:
            entry["reason"] = "the base counts 0"
        else:
            entry["ratio"] = statistics.median(other) / statistics.median(base)
    elif min(min(base), min(other)) <= 0:
        entry["reason"] = "a value of 0 has no logarithm"
    else:
        result = paired_ratio(base, other, alpha)
        entry.update(ratio=result.ratio, interval=result.interval and list(result.interval))
        entry["coverage"] = result.coverage
        if result.interval is None:
            entry["reason"] = f"an interval needs {pairs_needed(alpha)} pairs"
    return entry
