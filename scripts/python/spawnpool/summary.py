"""The `summary` of a result: medians of each target and ratios of pairs, per scenario and point."""
import statistics
from typing import Any

from spawnpool.documents import Json
from spawnpool.metrics import METRICS, Metric, varies
from spawnpool.plan import PAIRS_PER_BLOCK, planned_points, trial_round
from spawnpool.statistics import MINIMUM_PAIRS, paired_ratio

Rounds = dict[str, dict[tuple[int, int], Json]]  # target -> round -> its trial


def summarize(suite: Json, trials: list[Json]) -> list[Json]:
    """One entry per scenario and planned point, in the suite's order. Only valid trials count.

    `suite` is that of a result."""
    names = [target["name"] for target in suite["targets"]]
    entries = []
    for scenario in suite["scenarios"]:
        for point in planned_points(suite["planned"], scenario["name"]):
            here = [t for t in trials if t["scenario"] == scenario["name"] and t["point"] == point]
            rounds: Rounds = {name: {} for name in names}
            for trial in here:
                rounds[trial["target"]][trial_round(trial, len(names))] = trial
            entries.append(
                {
                    "scenario": scenario["name"],
                    "point": point,
                    "pairs_planned": PAIRS_PER_BLOCK * suite["blocks"],
                    "targets": [_summarize_target(name, rounds[name]) for name in names],
                    "comparisons": [_compare(names[0], other, rounds) for other in names[1:]],
                }
            )
    return entries


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


def _compare(base: str, other: str, rounds: Rounds) -> Json:
    base_trials, other_trials = _valid(rounds[base]), _valid(rounds[other])
    pairs = [
        (base_trials[key], other_trials[key]) for key in sorted(base_trials) if key in other_trials
    ]
    return {
        "base": base,
        "target": other,
        "ratios": {metric.path: _metric_ratio(metric, pairs) for metric in METRICS},
    }


def _metric_ratio(metric: Metric, pairs: list[tuple[Json, Json]]) -> Json:
    """A pair that lacks the metric on a side does not count. A value of 0 has no logarithm: one is
    no ground to leave a pair out, so it leaves the metric without a ratio of pairs."""
    both = ((metric.value(a), metric.value(b)) for a, b in pairs)
    values = [(a, b) for a, b in both if a is not None and b is not None]
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
        result = paired_ratio(base, other)
        entry.update(ratio=result.ratio, interval=result.interval and list(result.interval))
        entry["coverage"] = result.coverage
        if result.interval is None:
            entry["reason"] = f"an interval needs {MINIMUM_PAIRS} pairs"
    return entry
