"""The ratio of two targets from pairs of adjacent trials: its sign-test interval, and how sure it is
that the true ratio lies beyond a bound.

The functions of arrays take the pairs along the last axis, so that a simulation can judge thousands of
runs at once by the code that judges one. All are free of state."""
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy
from numpy.typing import NDArray
from scipy.special import bdtr  # the binomial distribution function
from scipy.special import betaincinv, ndtri

Array = NDArray[numpy.float64]

MINIMUM_PAIRS = 6  # with fewer, no interval of order statistics reaches 95 %


@dataclass(frozen=True)
class Ratio:
    """B/A over n pairs. `interval` is None below MINIMUM_PAIRS, else (low, high) with `coverage`, the
    probability (at least 1 - alpha) that the interval holds the true median, whatever the
    distribution of the pairs."""

    ratio: float
    interval: tuple[float, float] | None
    coverage: float | None
    pairs: int


def sign_test_rank(n: int, alpha: float = 0.05) -> int:
    """The rank k of the lower order statistic: the largest k with P(Bin(n, 1/2) < k) <= alpha/2.

    0 when there is none. Source: the confidence interval for a median in W. J. Conover, Practical
    Nonparametric Statistics, 3.2; n = 20 gives 6 (and 15), n = 30 gives 10 (and 21)."""
    return int(numpy.count_nonzero(bdtr(numpy.arange(n), n, 0.5) <= alpha / 2))


def pair_logs(base: Sequence[float], other: Sequence[float]) -> Array:
    """d_i = ln(other_i / base_i). Pair i is (base[i], other[i]); every value is positive. ValueError
    for sides of different length."""
    return numpy.array([math.log(b / a) for a, b in zip(base, other, strict=True)])


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
    spread: float, n: int, alpha: float, margin: float, power: float = 0.8
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


def paired_ratio(base: Sequence[float], other: Sequence[float], alpha: float = 0.05) -> Ratio:
    """exp(median d) and exp of the interval of d = pair_logs(base, other), of at least one pair."""
    logs = pair_logs(base, other)
    ratio = math.exp(float(numpy.median(logs)))
    interval = sign_interval(logs, alpha)
    if interval is None:
        return Ratio(ratio, None, None, len(logs))
    low, high = (math.exp(float(end)) for end in interval)
    return Ratio(ratio, (low, high), sign_coverage(len(logs), alpha), len(logs))
