"""Verdicts: whether a target is worse than its base, better, as good, or whether that is not to be told.

What is compared is a list of questions, one for each gated metric of a comparison at each scenario and
point. `gate` answers all of one run together:

- Noisy: with M = ln(1 + margin), the true ratio is worse beyond M on its bad side, better beyond M on its
  good side, and equivalent within. Worse and better hold for a whole run: in at most GATE_ALPHA of all
  runs does one of them say what is not so, in half of these that it is worse (Holm's method over the
  two-sided p-values against the margins; S. Holm, Scand. J. Statist. 6, 1979). This is the interval's lying beyond the margin as a whole, at the level that Holm's method asks. So whoever runs
  identical servers is told of a regression in at most 1 % of runs, however noisy the machine, and in
  next to none where the noise is not far above the margin.
- Equivalent: the interval of 95 % lies within the margins. That all gated metrics are is told by each at
  its own level, without Holm (the intersection-union test; R. L. Berger, Technometrics 24, 1982).
- Exact: two counts that differ by more than their tolerance do differ.

Nothing here reads files or has state."""
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy
from numpy.typing import NDArray

from spawnpool.statistics import Array, Pairs, Runs, holm, pairs_needed

# With 0.05, as for intervals, noise far above the margin would let 2.5 % of runs find a regression
# between identical servers.
GATE_ALPHA = 0.02
SHOWN_ALPHA = 0.05

EXIT_REGRESSED, EXIT_INCONCLUSIVE = 1, 3


class Verdict(Enum):
    """Of a target against its base. Improved and regressed are beyond the margin."""

    REGRESSED = "regressed"
    IMPROVED = "improved"
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Noisy:
    """A sampled metric: `sample` tells of ln(target/base), `better` is "higher" or "lower", `margin` a
    relative difference (0.05)."""

    better: str
    margin: float
    sample: Pairs | Runs


@dataclass(frozen=True)
class Exact:
    """A counted metric of base and target, with the relative difference that is none."""

    better: str
    tolerance: float
    base: float
    target: float


@dataclass(frozen=True)
class Unanswerable:
    """A gated metric without values to compare, and why."""

    reason: str


Question = Noisy | Exact | Unanswerable


@dataclass(frozen=True)
class Judgement:
    """The answer to a question; ratios are target/base.

    `interval` covers the true ratio with probability `coverage`, at least 95 %. `gate_interval`, with
    its own coverage, is the one that has to lie beyond the margin as a whole: wider the more metrics a
    run gates. `least_effect` is the relative change for the worse (0.12: 12 %) that a run like this one
    finds in 4 of 5 cases. Each is None where there are too few pairs for it, and all are of an exact
    metric. `n` counts the pairs, or the runs of the base. `verdict` is None where none was asked for, and `reason` says why it is inconclusive or a
    number missing."""

    verdict: Verdict | None
    ratio: float | None = None
    interval: tuple[float, float] | None = None
    coverage: float | None = None
    gate_interval: tuple[float, float] | None = None
    gate_coverage: float | None = None
    least_effect: float | None = None
    n: int = 0
    reason: str | None = None


def estimate(sample: Pairs | Runs) -> Judgement:
    """Ratio and interval of a sampled metric, without a verdict."""
    if sample.n == 0:
        return Judgement(None, reason="no pair of valid trials has it")
    told = Judgement(None, ratio=math.exp(sample.center), n=sample.n)
    interval = _ratios(sample.interval(SHOWN_ALPHA))
    if interval is None:
        return replace(told, reason=_too_small(sample))
    return replace(told, interval=interval, coverage=sample.coverage(SHOWN_ALPHA))


def _too_small(sample: Pairs | Runs) -> str:
    """Why a sample has no interval."""
    if isinstance(sample, Pairs):
        return f"{_pairs(sample.n)}: an interval needs {pairs_needed(SHOWN_ALPHA / sample.looks)}"
    if sample.n == 1:
        return "one run of the base does not tell how runs differ: give several, better 6 than 3"
    return "the runs of the base do not differ at all, so how runs differ is not known"


def gate(questions: Sequence[Question], alpha: float = GATE_ALPHA) -> list[Judgement]:
    """The answers to all questions of a run, in their order. Ask them together, once: Holm's method
    holds for a number of questions and pairs that was fixed before the run."""
    sampled = iter(_judge([q for q in questions if isinstance(q, Noisy)], alpha))
    return [next(sampled) if isinstance(q, Noisy) else _count(q) for q in questions]


def _judge(questions: Sequence[Noisy], alpha: float) -> list[Judgement]:
    if not questions:
        return []
    worse, better, within = (numpy.array(side) for side in zip(*map(evidence, questions)))
    verdicts, levels = decide(worse, better, within, alpha)
    return [
        _sample(question, VERDICTS[verdict], float(level), alpha / len(questions))
        for question, verdict, level in zip(questions, verdicts, levels)
    ]


# What decide() says, by its numbers.
VERDICTS = (Verdict.INCONCLUSIVE, Verdict.EQUIVALENT, Verdict.IMPROVED, Verdict.REGRESSED)


def evidence(question: Noisy) -> tuple[Array, Array, NDArray[numpy.bool_]]:
    """The one-sided p-values of "beyond the margin on the bad side" and "on the good side", and whether
    the 95 % interval lies within the margins; for each of the sample's comparisons."""
    sample, bound = question.sample, math.log1p(question.margin)
    above, below = sample.p_above(bound), sample.p_below(-bound)
    interval = sample.interval(SHOWN_ALPHA)
    if interval is None:
        within = numpy.zeros(above.shape, dtype=bool)
    else:
        within = (interval[0] >= -bound) & (interval[1] <= bound)
    return (below, above, within) if question.better == "higher" else (above, below, within)


def decide(
    worse: Array, better: Array, within: NDArray[numpy.bool_], alpha: float
) -> tuple[NDArray[numpy.int64], Array]:
    """Indices into VERDICTS for a run's questions along the last axis, and for each the two-sided level
    at which it was tested."""
    beyond, tested = holm(numpy.minimum(1.0, 2.0 * numpy.minimum(worse, better)), alpha)
    return numpy.where(beyond, numpy.where(worse < better, 3, 2), within.astype(int)), tested


def exit_status(verdicts: Iterable[Verdict | None], strict: bool) -> int:
    """0, 1 where one regressed, else 3 where `strict` and one is inconclusive."""
    told = set(verdicts)
    if Verdict.REGRESSED in told:
        return EXIT_REGRESSED
    return EXIT_INCONCLUSIVE if strict and Verdict.INCONCLUSIVE in told else 0


def _count(question: Exact | Unanswerable) -> Judgement:
    """The answer to what is not sampled."""
    if isinstance(question, Unanswerable):
        return Judgement(Verdict.INCONCLUSIVE, reason=question.reason)
    base, target = question.base, question.target
    if abs(target - base) <= question.tolerance * abs(base):
        verdict = Verdict.EQUIVALENT
    elif (target > base) == (question.better == "higher"):
        verdict = Verdict.IMPROVED
    else:
        verdict = Verdict.REGRESSED
    if base > 0 and target >= 0:
        return Judgement(verdict, ratio=target / base)
    why = "the base counts 0" if base == 0 else "a count below 0 has no ratio"
    return Judgement(verdict, reason=why)


def _sample(question: Noisy, verdict: Verdict, level: float, first_level: float) -> Judgement:
    """`first_level` is the one at which a run's clearest difference is tested."""
    sample = question.sample
    told = replace(estimate(sample), verdict=verdict)
    interval = _ratios(sample.interval(level))
    if interval is not None:
        told = replace(told, gate_interval=interval, gate_coverage=sample.coverage(level))
        least = sample.least_effect(first_level, math.log1p(question.margin))
        told = replace(told, least_effect=None if least is None else math.expm1(least))
    elif told.reason is None and verdict == Verdict.INCONCLUSIVE:
        looks = sample.looks if isinstance(sample, Pairs) else 1
        needed = pairs_needed(first_level / looks)
        reason = f"{_pairs(sample.n)}: to tell a difference this run needs {needed}"
        told = replace(told, reason=reason)
    return told


def _ratios(interval: tuple[Array, Array] | None) -> tuple[float, float] | None:
    return None if interval is None else (math.exp(interval[0]), math.exp(interval[1]))


def _pairs(n: int) -> str:
    return f"{n} pair" if n == 1 else f"{n} pairs"
