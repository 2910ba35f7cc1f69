"""The search for change points: against its definition, and its two kinds of error in simulations
with fixed seeds."""
import itertools
import math

import numpy
import pytest
from scipy.stats import binom

from spawnpool.changepoint import SHORTEST_PART, best_split, change_points
from spawnpool.changepoint import permutations_needed, runs_needed
from spawnpool.statistics import Array

SPREAD = 0.03


def _noise(seed: int, n: int) -> Array:
    logs: Array = numpy.log(numpy.random.default_rng(seed).normal(1, SPREAD, n))
    return logs


def _q(values: Array, at: int, end: int) -> float:
    """Matteson and James, equations 5 to 7, as they are written."""
    x, y = values[:at], values[at:end]
    n, m = len(x), len(y)
    between = sum(abs(a - b) for a in x for b in y) * 2 / (n * m)
    within = [
        sum(abs(a - b) for a, b in itertools.combinations(part, 2)) / math.comb(len(part), 2)
        for part in (x, y)
    ]
    return float(n * m / (n + m) * (between - sum(within)))


@pytest.mark.parametrize("seed", range(5))
def test_the_split_and_its_p_value_are_those_of_the_definition(seed: int) -> None:
    def most(series: Array) -> tuple[float, int]:
        ends = range(2 * SHORTEST_PART, len(series) + 1)
        splits = [(at, end) for end in ends for at in range(SHORTEST_PART, end - SHORTEST_PART + 1)]
        return max((_q(series, at, end), at) for at, end in splits)

    values = _noise(seed, 7)
    if seed % 2:
        values[4:] += 0.1
    found = [most(values[list(order)])[0] for order in itertools.permutations(range(7))]
    q, at = most(values)
    exact = sum(one >= q * (1 - 1e-9) for one in found) / len(found)
    split = best_split(values, 4000)
    assert split is not None and split.at == at
    assert split.p == pytest.approx(exact, abs=4 * math.sqrt(exact / 20 * exact) + 0.01)


@pytest.mark.parametrize("level", [0.02, 0.05])
@pytest.mark.parametrize("n", [12, 30])
def test_noise_alone_is_rarely_told_as_a_change(n: int, level: float) -> None:
    series = 400
    alarms = 0
    for seed in range(series):
        split = best_split(_noise(1000 + seed, n), permutations_needed(level))
        alarms += split is not None and split.p <= level
    assert alarms <= binom.ppf(0.999, series, level)


def test_a_step_of_ten_percent_is_found_where_it_is() -> None:
    level = 0.02 / 6  # as among 6 series
    permutations = permutations_needed(level)
    off, beyond = [], 0
    for seed in range(25):
        values = _noise(seed, 40)
        values[20:] += math.log(1.10)
        split = best_split(values, permutations)
        assert split is not None and split.p <= level
        found = change_points(values, split, level, permutations)
        assert split.at in found
        beyond += len(found) - 1  # in either part, at the same level
        off.append(abs(split.at - 20))
    assert max(off) <= 3 and sum(one <= 1 for one in off) >= 20
    assert beyond <= binom.ppf(0.999, 2 * 25, level)


def test_a_step_of_the_newest_runs_is_found() -> None:
    found = 0
    for seed in range(25):
        values = _noise(seed, 40)
        values[36:] += math.log(1.10)
        split = best_split(values, permutations_needed(0.02))
        assert split is not None
        found += split.p <= 0.02 and abs(split.at - 36) <= 1
    assert found >= 20


def test_a_change_and_its_way_back_are_two_changes() -> None:
    values = _noise(3, 45)
    values[15:30] += math.log(1.15)
    split = best_split(values, 1999)
    assert split is not None
    assert change_points(values, split, 0.002, 1999) == [15, 30]


def test_the_same_series_gives_the_same_answer_in_any_unit() -> None:
    values = _noise(9, 30)
    split = best_split(values, 999)
    assert split is not None
    assert best_split(values, 999) == split
    assert best_split(values * 1024, 999) == split


def test_what_cannot_have_changed_has_no_split() -> None:
    assert best_split(numpy.array([1.0, 1, 1, 9, 9]), 99) is None  # too short for two parts
    assert best_split(numpy.full(30, 2.5), 99) is None


def test_an_outlier_is_no_change() -> None:
    values = _noise(4, 30)
    values[-1] += 1.0
    split = best_split(values, 999)
    assert split is not None and split.p > 0.02


@pytest.mark.parametrize("level", [0.05, 0.02, 0.02 / 24])
def test_as_many_runs_as_needed_can_tell_a_change(level: float) -> None:
    n = runs_needed(level)
    values = numpy.arange(n) / 1000 + numpy.repeat([0.0, 1.0], [n // 2, n - n // 2])
    split = best_split(values, 20 * permutations_needed(level))
    assert split is not None and split.at == n // 2
    assert split.p <= level * 1.2  # of the order of two in all splits
