"""What verdicts were seen to do where the truth is known: rates with their exact intervals, and noise.

Made of results in which two targets are the same, or apart by a delay that was put in. Verdicts are
those of `compare`. Nothing here reads files or has state."""
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy

from spawnpool.comparison import Comparison, Line, within
from spawnpool.documents import Json
from spawnpool.history import suite_hash
from spawnpool.metrics import METRICS
from spawnpool.statistics import Array, pair_logs
from spawnpool.summary import places
from spawnpool.values import PairedValues, Values
from spawnpool.verdicts import GATE_ALPHA, Verdict

# Below this p-value there were more false alarms than the method states.
EXCEEDED = 0.01


@dataclass(frozen=True)
class Condition:
    """How targets were compared: beside a disturber or not; with a delay of so many percent put into
    one of them, or with None the suite as it is between two that are the same."""

    load: bool
    effect: int | None

    @property
    def name(self) -> str:
        """Such as "idle" or "load-effect-5"."""
        return ("load" if self.load else "idle") + (
            "" if self.effect is None else f"-effect-{self.effect}"
        )

    @property
    def equal(self) -> bool:
        """Whether the targets are the same, so that whatever is told to differ is a false alarm."""
        return not self.effect


def evaluate_set(condition: Condition, results: Sequence[tuple[Path, Json]]) -> Json:
    """An entry of a calibration's `sets`, of at least one result with its summary."""
    from scipy.stats import (
        binomtest,
    )  # takes half a second to load, and who only cites does without

    comparisons = [within(path, result) for path, result in results]
    apart = sum(any(map(_apart, comparison.lines)) for comparison in comparisons)
    lines = [line for comparison in comparisons for line in comparison.lines]
    gated = {line.metric.path for line in lines if line.judgement.verdict is not None}
    stated = GATE_ALPHA if condition.equal else None
    suite = results[0][1]["suite"]
    return {
        "suite": {"name": suite["name"], "sha256": suite_hash(suite)},
        "pairs": suite["pairs"],
        "load": condition.load,
        "effect_percent": condition.effect,
        "comparisons": len(comparisons),
        "faulty": sum(bool(comparison.faults) for comparison in comparisons),
        "told_apart": rate(apart, len(comparisons)),
        "stated": stated,
        "p_value": (
            None
            if stated is None
            else float(binomtest(apart, len(comparisons), stated, alternative="greater").pvalue)
        ),
        "metrics": [
            _metric(metric.path, comparisons, results) for metric in METRICS if metric.path in gated
        ],
    }


def exceeded(entry: Json) -> bool:
    """Whether a set has more false alarms than the method states."""
    return entry["p_value"] is not None and entry["p_value"] < EXCEEDED


def rate(k: int, n: int) -> Json:
    """k of n, with the exact interval of 95 % (Clopper-Pearson); of nothing, nothing is told."""
    if n == 0:
        return {"k": k, "n": n, "share": None, "interval": None}
    from scipy.stats import binomtest

    ends = binomtest(k, n).proportion_ci(0.95, method="exact")
    return {"k": k, "n": n, "share": k / n, "interval": [float(ends.low), float(ends.high)]}


def _apart(line: Line) -> bool:
    return line.judgement.verdict in (Verdict.REGRESSED, Verdict.IMPROVED)


def _metric(
    path: str, comparisons: Sequence[Comparison], results: Sequence[tuple[Path, Json]]
) -> Json:
    lines = [line for it in comparisons for line in it.lines if line.metric.path == path]
    intervals = [it.judgement.interval for it in lines if it.judgement.interval is not None]
    verdicts = [line.judgement.verdict for line in lines]
    by_place: dict[str, list[Line]] = {}
    if lines[0].gate.kind == "noisy":
        for line in lines:
            by_place.setdefault(line.place, []).append(line)
    return {
        "metric": path,
        "gate": lines[0].gate.kind,
        "margin": lines[0].gate.margin,
        "regressed": rate(verdicts.count(Verdict.REGRESSED), len(lines)),
        "improved": rate(verdicts.count(Verdict.IMPROVED), len(lines)),
        "holds_one": rate(sum(low <= 1 <= high for low, high in intervals), len(intervals)),
        "places": [_place(here, results) for here in by_place.values()],
    }


def _place(lines: Sequence[Line], results: Sequence[tuple[Path, Json]]) -> Json:
    """The noise of a metric at a scenario and point. Numbers are None where no run tells them."""
    ratios = [it.judgement.ratio for it in lines if it.judgement.ratio is not None]
    least = [it.judgement.least_effect for it in lines if it.judgement.least_effect is not None]
    sides = ([it.base_value for it in lines], [it.target_value for it in lines])
    logs = [[math.log(value) for value in side if value] for side in sides]
    return {
        "scenario": lines[0].scenario,
        "point": lines[0].point,
        "ratio": _median(ratios),
        "sigma_pairs": pooled(_pair_logs(lines[0], results)),
        "sigma_runs": pooled(logs),
        "least_effect": _median(least),
    }


def _pair_logs(line: Line, results: Sequence[tuple[Path, Json]]) -> Iterable[Array]:
    """ln(ratio) of the pairs of each run, at the line's place."""
    for _, result in results:
        for place in places(result["suite"], result["trials"]):
            if (place.scenario, place.point) == (line.scenario, line.point):
                both = (place.rounds[name] for name in (line.base, line.target))
                sides = (Values(trials, [line.metric]) for trials in both)
                base, other = PairedValues(*sides).of(line.metric)
                if len(base) > 0 and (base > 0).all() and (other > 0).all():
                    yield pair_logs(base, other)


def pooled(samples: Iterable[Sequence[float] | Array]) -> float | None:
    """The standard deviation within samples, each about its own mean; None where no sample has two."""
    known = [numpy.asarray(sample) for sample in samples if len(sample) > 1]
    if not known:
        return None
    squares = sum(float(((sample - sample.mean()) ** 2).sum()) for sample in known)
    return math.sqrt(squares / sum(len(sample) - 1 for sample in known))


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None
