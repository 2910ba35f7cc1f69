"""The ratio of two targets: its interval, and how sure it is that the true ratio lies beyond a bound.
From pairs of adjacent trials by the sign test, from whole runs by the spread of the base's runs.

The functions of arrays take the pairs, or runs, along the last axis, so that a simulation can judge
thousands of comparisons at once by the code that judges one. All are free of state."""
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy
from numpy.typing import NDArray
from scipy.special import bdtr  # the binomial distribution function
from scipy.special import betaincinv, nctdtrinc, ndtri, stdtr, stdtrit

Array = NDArray[numpy.float64]

POWER = 0.8  # of the least detectable effect
MINIMUM_PAIRS = 6  # with fewer, no interval of order statistics reaches 95 %; see pairs_needed()


@dataclass(frozen=True)
class Ratio:
    """B/A over n pairs. `interval` is None below MINIMUM_PAIRS, else (low, high) with `coverage`, the
    probability (at least 1 - alpha) that the interval holds the true median, whatever the
    distribution of the pairs."""

    ratio: float
    interval: tuple[float, float] | None
    coverage: float | None
    pairs: int


@functools.cache
def sign_test_rank(n: int, alpha: float = 0.05) -> int:
    """The rank k of the lower order statistic: the largest k with P(Bin(n, 1/2) < k) <= alpha/2.

    0 when there is none. Source: the confidence interval for a median in W. J. Conover, Practical
    Nonparametric Statistics, 3.2; n = 20 gives 6 (and 15), n = 30 gives 10 (and 21)."""
    return int(numpy.count_nonzero(bdtr(numpy.arange(n), n, 0.5) <= alpha / 2))


def pairs_needed(level: float) -> int:
    """The least number of pairs with which any difference is told at a two-sided level: that of all
    pairs on one side."""
    return 1 + math.ceil(math.log2(1 / level))


def pair_logs(base: Sequence[float] | Array, other: Sequence[float] | Array) -> Array:
    """d_i = ln(other_i / base_i). Pair i is (base[i], other[i]); every value is positive. ValueError
    for sides of different length."""
    if len(base) != len(other):
        raise ValueError(f"{len(base)} values make no pairs with {len(other)}")
    logs: Array = numpy.log(numpy.asarray(other, dtype=float) / numpy.asarray(base, dtype=float))
    return logs


def sign_interval(logs: Array, alpha: float) -> tuple[Array, Array] | None:
    """The order statistics k and n + 1 - k of each sample; None when n is too small for alpha."""
    n = logs.shape[-1]
    k = sign_test_rank(n, alpha)
    if k == 0:
        return None
    ordered = numpy.sort(logs, axis=-1)
    return ordered[..., k - 1], ordered[..., n - k]


def sign_coverage(n: int, alpha: float) -> float:
    """The probability that the interval for this alpha holds the true median; at least 1 - alpha."""
    return 1.0 - 2.0 * float(bdtr(sign_test_rank(n, alpha) - 1, n, 0.5))


def p_above(logs: Array, bound: float) -> Array:
    """The one-sided p-value of each sample against "the true median is at most the bound". It is at
    most alpha/2 exactly where the whole interval for alpha lies above the bound."""
    n = logs.shape[-1]
    beyond: Array = bdtr(n - numpy.count_nonzero(logs > bound, axis=-1), n, 0.5)
    return beyond


def p_below(logs: Array, bound: float) -> Array:
    """The same against "the true median is at least the bound"."""
    return p_above(-logs, -bound)


def holm(p: Array, alpha: float) -> tuple[NDArray[numpy.bool_], Array]:
    """Which of the hypotheses along the last axis are rejected, so that with a probability of at most
    alpha one of them is although it is true; and for each the level at which it was tested: where the
    method stopped, for those it left open. Source: S. Holm, Scand. J. Statist. 6, 1979."""
    count = p.shape[-1]
    order = numpy.argsort(p, axis=-1, kind="stable")
    levels = alpha / numpy.arange(count, 0, -1)
    ordered = numpy.logical_and.accumulate(numpy.take_along_axis(p, order, -1) <= levels, axis=-1)
    stopped = levels[numpy.minimum(ordered.sum(axis=-1, keepdims=True), count - 1)]
    rejected = numpy.empty_like(ordered)
    tested = numpy.empty(p.shape)
    numpy.put_along_axis(rejected, order, ordered, -1)
    numpy.put_along_axis(tested, order, numpy.where(ordered, levels, stopped), -1)
    return rejected, tested


def least_effect(
    spread: float, n: int, alpha: float, margin: float, power: float = POWER
) -> float | None:
    """The true ln(ratio) from which on the interval for alpha of n pairs lies beyond the margin with
    this power, where d is normal with this standard deviation. None when n is too small for alpha.

    The whole interval lies beyond when n + 1 - k of the pairs do, each with the same probability: it
    is solved for that. For large n it is margin + (z(1 - alpha/2) + z(power)) sqrt(pi/2) spread /
    sqrt(n), which for alpha = 0.05 and 80 % is margin + 3.5 spread / sqrt(n)."""
    k = sign_test_rank(n, alpha)
    if k == 0:
        return None
    return margin + spread * float(ndtri(betaincinv(n + 1 - k, k, power)))


class Pairs:
    """A sample of ln(ratio) from pairs of adjacent trials, in any order: an array with the pairs along
    its last axis. With several looks at growing pairs each has an even part of every alpha (looks.py).
    """

    def __init__(self, logs: Array, looks: int = 1) -> None:
        self.logs, self.looks = logs, looks

    @property
    def n(self) -> int:
        """The number of pairs."""
        return self.logs.shape[-1]

    @property
    def center(self) -> Array:
        """The estimate of the true ln(ratio); there is at least one pair."""
        return numpy.asarray(numpy.median(self.logs, axis=-1))

    def interval(self, alpha: float) -> tuple[Array, Array] | None:
        """The sign_interval()."""
        return sign_interval(self.logs, alpha / self.looks)

    def coverage(self, alpha: float) -> float:
        """The probability with which the interval holds the truth: at least 1 - alpha."""
        return sign_coverage(self.n, alpha / self.looks)

    def p_above(self, bound: float) -> Array:
        """The one-sided p-value against "the true ln(ratio) is at most the bound"."""
        return numpy.minimum(1.0, self.looks * p_above(self.logs, bound))

    def p_below(self, bound: float) -> Array:
        """The same against "at least the bound"."""
        return numpy.minimum(1.0, self.looks * p_below(self.logs, bound))

    def least_effect(self, alpha: float, margin: float) -> float | None:
        """The least_effect() of a single sample with this spread."""
        if self.n < 2:
            return None
        spread = float(numpy.std(self.logs, ddof=1))
        return least_effect(spread, self.n, alpha / self.looks, margin)


class Runs:
    """A sample of ln(ratio) from whole runs: `base` are ln(median) of several runs of the base, along the
    last axis, `target` that of the run that is compared with them.

    Trials of one run share the mood of the machine on that day, so that their spread says nothing of how
    runs differ; the runs of the base do. The interval is the prediction interval for one more run of the
    base (G. J. Hahn & W. Q. Meeker, Statistical Intervals, 4.7), which assumes that ln(median) is about
    normal from run to run. Of one run, or of runs that do not differ at all, there is none."""

    def __init__(self, base: Array, target: Array) -> None:
        self._away: Array = target - base.mean(axis=-1)
        self.n = base.shape[-1]
        if self.n > 1:
            spread: Array = numpy.std(base, axis=-1, ddof=1) * math.sqrt(1 + 1 / self.n)
            self._scale = numpy.where(spread > 0, spread, numpy.inf)

    @property
    def center(self) -> Array:
        """The estimate of the true ln(ratio)."""
        return self._away

    def interval(self, alpha: float) -> tuple[Array, Array] | None:
        """The prediction interval, moved to the ratio."""
        if self.n < 2 or not numpy.isfinite(self._scale).all():
            return None
        reach = self._scale * stdtrit(self.n - 1, 1 - alpha / 2)
        low: Array = self._away - reach
        return low, self._away + reach

    def coverage(self, alpha: float) -> float:
        """The probability with which the interval holds the truth."""
        return 1 - alpha

    def p_above(self, bound: float) -> Array:
        """The one-sided p-value against "the true ln(ratio) is at most the bound"."""
        if self.n < 2:
            return numpy.ones(self._away.shape)
        beyond: Array = stdtr(self.n - 1, (bound - self._away) / self._scale)
        return beyond

    def p_below(self, bound: float) -> Array:
        """The same against "at least the bound"."""
        if self.n < 2:
            return numpy.ones(self._away.shape)
        beyond: Array = stdtr(self.n - 1, (self._away - bound) / self._scale)
        return beyond

    def least_effect(self, alpha: float, margin: float) -> float | None:
        """The true ln(ratio) from which on the interval for alpha lies beyond the margin in 4 of 5
        cases, if runs spread as those of the base do."""
        if self.interval(alpha) is None:
            return None
        reach = stdtrit(self.n - 1, 1 - alpha / 2)
        return margin + float(self._scale) * float(nctdtrinc(self.n - 1, 1 - POWER, reach))


def paired_ratio(
    base: Sequence[float] | Array, other: Sequence[float] | Array, alpha: float = 0.05
) -> Ratio:
    """exp(median d) and exp of the interval of d = pair_logs(base, other), of at least one pair."""
    logs = pair_logs(base, other)
    ratio = math.exp(float(numpy.median(logs)))
    interval = sign_interval(logs, alpha)
    if interval is None:
        return Ratio(ratio, None, None, len(logs))
    low, high = (math.exp(float(end)) for end in interval)
    return Ratio(ratio, (low, high), sign_coverage(len(logs), alpha), len(logs))
