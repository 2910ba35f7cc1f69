import math

import numpy
import pytest
from scipy.stats import binom

from spawnpool.cross_check import cross_check
from spawnpool.statistics import Pairs


def test_it_agrees_with_what_is_known_in_closed_form() -> None:
    # All of 8 pairs above 1: the least two-sided p-value there is, 2 / 2^8.
    logs = numpy.log(1.1) + 0.001 * numpy.arange(8)
    told = cross_check(Pairs(logs))
    assert told is not None and told.wilcoxon_p == pytest.approx(2 / 2**8)
    # Percentiles of the median of 15 resampled values are order statistics of the sample: of rank r with
    # the probability that 8 or more of the 15 drawn are among the r least.
    logs = numpy.linspace(-0.1, 0.2, 15)
    told = cross_check(Pairs(logs))
    assert told is not None
    below = [float(binom.sf(7, 15, r / 15)) for r in range(1, 16)]
    ranks = [next(r for r, p in enumerate(below) if p >= end) for end in (0.025, 0.975)]
    assert told.bootstrap_interval == pytest.approx([math.exp(logs[r]) for r in ranks])


def test_it_is_the_same_each_time_and_whatever_the_order() -> None:
    logs = numpy.random.default_rng(7).normal(0.02, 0.05, 20)
    told = cross_check(Pairs(logs))
    assert told is not None and told == cross_check(Pairs(logs.copy()))
    turned = cross_check(Pairs(-logs))
    assert turned is not None and turned.wilcoxon_p == pytest.approx(told.wilcoxon_p)


def test_pairs_without_a_difference_tell_none() -> None:
    told = cross_check(Pairs(numpy.zeros(10)))
    assert told is not None and (told.bootstrap_interval, told.wilcoxon_p) == ((1.0, 1.0), 1.0)


def test_a_pair_without_a_difference_counts_for_both_sides() -> None:
    logs = numpy.array([0.0, *numpy.linspace(0.01, 0.02, 11)])
    told = cross_check(Pairs(logs))
    assert told is not None and told.wilcoxon_p == pytest.approx(0.003, rel=0.3)


def test_few_pairs_tell_nothing() -> None:
    assert cross_check(Pairs(numpy.full(5, 0.1))) is None
