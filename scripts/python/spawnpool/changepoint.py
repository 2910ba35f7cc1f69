"""Where a series of numbers changed: E-divisive, with a permutation test.

The method is that of D. S. Matteson and N. A. James, A nonparametric approach for multiple change point
analysis of multivariate data, J. Amer. Statist. Assoc. 109 (2014), with distances of power 1. A series
is split where the energy distance of what lies before to what follows is the largest, weighted by the
lengths of both; it did change there when hardly any permutation of the series can be split as well. Both
parts are then searched in the same way. Nothing is assumed about the distribution of the noise, but that
the numbers are exchangeable while nothing changes: a slow drift is told as a change.

The permutations are drawn from a fixed seed, so that the same series always gives the same answer. No
function has state."""
import math
from dataclasses import dataclass

import numpy

from spawnpool.statistics import Array

# A part of a single number or two would be an outlier, not a new level.
SHORTEST_PART = 3
SHORTEST_SERIES = 2 * SHORTEST_PART
# A search for the p-value ends with this many permutations as extreme as the series itself (J. Besag and
# P. Clifford, Sequential Monte Carlo p-values, Biometrika 78, 1991): a p-value far from any level
# needs no more.
ENOUGH_EXTREMES = 20
_CELLS_AT_ONCE = 30_000  # of distance matrices in a batch: few enough for a cache


@dataclass(frozen=True)
class Split:
    """The best split of a series: `at` is the index of the first number after it, `p` its p-value."""

    at: int
    p: float


def best_split(values: Array, permutations: int) -> Split | None:
    """The most different two parts, and the probability that a series without a change has parts as
    different. None for a series too short to have two parts, or one that does not vary. `p` is at
    least 1 / (permutations + 1)."""
    n = len(values)
    if n < SHORTEST_SERIES or numpy.all(values == values[0]):
        return None
    distances = numpy.abs(values[:, None] - values[None, :])
    weights = _Weights.of(n)
    (most,), (at,) = _most_different(distances[None], weights)
    least = most * (1 - 1e-9)  # sums in another order round differently
    draw = numpy.random.default_rng(1)
    batch = max(1, _CELLS_AT_ONCE // n**2)
    extremes = done = 0
    while done < permutations:
        size = min(batch, permutations - done, 2 * done + ENOUGH_EXTREMES)
        order = draw.permuted(numpy.tile(numpy.arange(n), (size, 1)), axis=1)
        found, _ = _most_different(distances[order[:, :, None], order[:, None, :]], weights)
        counts = extremes + numpy.cumsum(found >= least)
        if counts[-1] >= ENOUGH_EXTREMES:
            drawn = done + 1 + int(numpy.searchsorted(counts, ENOUGH_EXTREMES))
            return Split(int(at), ENOUGH_EXTREMES / drawn)
        extremes, done = int(counts[-1]), done + size
    return Split(int(at), (extremes + 1) / (done + 1))


def change_points(values: Array, first: Split, level: float, permutations: int) -> list[int]:
    """The indices at which the series changed, in their order: that of `first`, its best split, which
    was found to be a change, and those of its parts with a p-value up to `level`."""
    found, parts = [first.at], [(0, first.at), (first.at, len(values))]
    while parts:
        begin, end = parts.pop()
        split = best_split(values[begin:end], permutations)
        if split is not None and split.p <= level:
            at = begin + split.at
            found.append(at)
            parts += [(begin, at), (at, end)]
    return sorted(found)


def runs_needed(level: float) -> int:
    """The least length of a series in which any change has a p-value up to `level`: one in the middle
    that separates all numbers before from all after, which two of all splits do."""
    n = SHORTEST_SERIES
    while 2 / math.comb(n, n // 2) > level:
        n += 1
    return n


def permutations_needed(level: float) -> int:
    """So many that the least p-value there can be is a quarter of the level."""
    return math.ceil(4 / level) - 1


@dataclass(frozen=True)
class _Weights:
    """What Q is of sums of distances, for all beginnings [0, at) and what follows them [at, end).

    Q = at (end - at) / end E, and E is twice the mean distance between the parts less the mean distances
    within them (Matteson and James, equations 5 to 7). With S(i, j) the sum of all distances from the
    first i numbers to the first j, it is a weighted sum of S(at, end), S(at, at) and S(end, end); minus
    infinity where a part is too short."""

    across: Array
    at: Array
    end: Array
    bar: Array

    @staticmethod
    def of(n: int) -> "_Weights":
        at, end = (side.astype(float) for side in numpy.ogrid[0 : n + 1, 0 : n + 1])
        left, right = at, end - at
        barred = (left < SHORTEST_PART) | (right < SHORTEST_PART)
        left, right = numpy.where(barred, 2.0, left), numpy.where(barred, 2.0, right)
        total = left + right
        within_left, within_right = right / (total * (left - 1)), left / (total * (right - 1))
        return _Weights(
            across=2 / total + 2 * within_right,
            at=-2 / total - within_left - within_right,
            end=-within_right,
            bar=numpy.where(barred, -numpy.inf, 0.0),
        )


def _most_different(distances: Array, weights: _Weights) -> tuple[Array, Array]:
    """For each matrix of distances (batch, n, n): the largest Q there is, and its `at`."""
    n = distances.shape[-1]
    sums = numpy.zeros((len(distances), n + 1, n + 1))
    distances.cumsum(axis=1, out=sums[:, 1:, 1:])
    sums.cumsum(axis=2, out=sums)
    whole = numpy.einsum("bii->bi", sums).copy()
    sums *= weights.across
    sums += whole[:, :, None] * weights.at
    sums += whole[:, None, :] * weights.end
    sums += weights.bar
    flat = sums.reshape(len(distances), -1)
    best = flat.argmax(axis=1)
    return numpy.take_along_axis(flat, best[:, None], 1)[:, 0], best // (n + 1)
