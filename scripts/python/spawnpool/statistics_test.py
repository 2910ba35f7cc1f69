import math
import random

import numpy
import pytest
from scipy import stats

from spawnpool.statistics import MINIMUM_PAIRS, Runs, paired_ratio, sign_test_rank


# The published ranks k (and n + 1 - k) of the 95 % interval for a median.
@pytest.mark.parametrize(
    "n, k",
    [(5, 0), (6, 1), (8, 1), (9, 2), (12, 3), (15, 4), (20, 6), (25, 8), (30, 10), (50, 18)],
)
def test_rank_is_the_published_one(n: int, k: int) -> None:
    assert sign_test_rank(n) == k


def test_rank_is_the_largest_that_keeps_the_promise() -> None:
    for n in range(1, 200):
        below = [sum(math.comb(n, i) for i in range(k)) / 2**n for k in range(n + 1)]
        assert sign_test_rank(n) == max(k for k in range(n + 1) if below[k] <= 0.025)


def test_no_interval_below_six_pairs() -> None:
    assert [n for n in range(1, 9) if sign_test_rank(n) > 0][0] == MINIMUM_PAIRS
    result = paired_ratio([1.0] * 5, [2.0] * 5)
    assert (result.ratio, result.interval, result.coverage, result.pairs) == (2.0, None, None, 5)


def test_six_pairs_reach_from_least_to_greatest() -> None:
    result = paired_ratio([10.0] * 6, [9.0, 14.0, 11.0, 12.0, 10.5, 13.0])
    assert result.ratio == pytest.approx(math.sqrt(1.1 * 1.2))
    assert result.interval == pytest.approx((0.9, 1.4))
    assert result.coverage == pytest.approx(1 - 2 / 2**6)


def test_twenty_pairs_give_the_order_statistics_6_and_15() -> None:
    ratios = [1 + i / 100 for i in range(1, 21)]
    random.Random(3).shuffle(ratios)
    result = paired_ratio([2.0] * 20, [2.0 * ratio for ratio in ratios])
    assert result.interval == pytest.approx((1.06, 1.15))


def test_swapping_the_targets_inverts_ratio_and_interval() -> None:
    draw = random.Random(5)
    a = [draw.lognormvariate(0, 0.3) for _ in range(31)]
    b = [draw.lognormvariate(0.1, 0.3) for _ in range(31)]
    there, back = paired_ratio(a, b), paired_ratio(b, a)
    assert there.interval is not None and back.interval is not None
    assert there.ratio == pytest.approx(1 / back.ratio)
    assert there.interval == pytest.approx((1 / back.interval[1], 1 / back.interval[0]))


def test_interval_covers_the_truth_as_promised() -> None:
    draw = random.Random(7)
    covered = 0
    for _ in range(2000):
        # Heavy tails on one side and a drift common to both of a pair.
        drift = [draw.lognormvariate(0, 1) for _ in range(12)]
        base = [d * (1 + draw.paretovariate(1.2)) for d in drift]
        other = [1.25 * d * (1 + draw.paretovariate(1.2)) for d in drift]
        low, high = paired_ratio(base, other).interval or (0.0, 0.0)
        covered += low <= 1.25 <= high
    assert 0.95 <= covered / 2000 <= 0.98  # 0.961 in theory


def test_sides_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError):
        paired_ratio([1.0, 2.0], [1.0])


def test_a_run_is_judged_by_the_prediction_interval_of_the_others() -> None:
    base = numpy.array([0.01, -0.02, 0.03, 0.0, -0.01])
    runs = Runs(base, numpy.array(0.1))
    # The slope from the base to the one more run is the same, by another way.
    test = stats.linregress([0] * 5 + [1], [*base, 0.1], alternative="greater")
    assert float(runs.p_above(0.0)) == pytest.approx(test.pvalue)
    assert float(runs.p_below(0.0)) == pytest.approx(1 - test.pvalue)
    assert float(runs.center) == pytest.approx(0.1 - base.mean())
    interval = runs.interval(2 * test.pvalue)
    assert interval is not None and float(interval[0]) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("base", [[0.3], [0.3, 0.3, 0.3]])
def test_runs_that_tell_nothing_of_their_spread(base: list[float]) -> None:
    runs = Runs(numpy.array(base), numpy.array(1.0))
    assert runs.interval(0.05) is None and runs.least_effect(0.05, 0.0) is None
    assert float(runs.p_above(0.1)) >= 0.5 and float(runs.p_below(0.1)) >= 0.5
    assert float(runs.center) == pytest.approx(0.7)
