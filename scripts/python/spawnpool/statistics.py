"""The ratio of two targets from pairs of adjacent trials, with its sign-test interval."""
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import bdtr  # the binomial distribution function

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
    k = 0
    while k < n and bdtr(k, n, 0.5) <= alpha / 2:
        k += 1
    return k


def paired_ratio(base: Sequence[float], other: Sequence[float], alpha: float = 0.05) -> Ratio:
    """exp(median d) with d_i = ln(other_i / base_i), and exp of the order statistics k and n+1-k.

    Pair i is (base[i], other[i]); every value is positive, there is at least one pair."""
    logs = sorted(math.log(b / a) for a, b in zip(base, other, strict=True))
    n = len(logs)
    k = sign_test_rank(n, alpha)
    ratio = math.exp(statistics.median(logs))
    if k == 0:
        return Ratio(ratio, None, None, n)
    interval = (math.exp(logs[k - 1]), math.exp(logs[n - k]))
    return Ratio(ratio, interval, 1.0 - 2.0 * float(bdtr(k - 1, n, 0.5)), n)
