"""What verdicts promise, over thousands of simulated runs whose truth is known.

A run is simulated as one is planned: block after block visits each point, where two targets run AB BA or
BA AB. The machine's drift goes through all trials of a run in their order; each trial has noise of its
own. All runs of a test are judged at once, by the functions that judge one."""
import math
from collections.abc import Callable

import numpy
import pytest
from numpy.typing import NDArray
from scipy.signal import lfilter

from spawnpool.statistics import Array, Pairs, Runs, least_effect, sign_interval
from spawnpool.verdicts import GATE_ALPHA, VERDICTS, Noisy, Verdict, decide, evidence

MARGIN = 0.05
METRICS = 2  # gated at each point, as throughput and CPU time per request are
Indices = NDArray[numpy.int64]
Draw = numpy.random.Generator
Noise = Callable[[Draw, tuple[int, ...]], Array]
# What one target at one point adds of its own to ln(value): (draw, shape) -> noise.


def _quiet(draw: Draw, shape: tuple[int, ...]) -> Array:
    return draw.normal(0, 0.02, shape)


def _loud(draw: Draw, shape: tuple[int, ...]) -> Array:
    return draw.normal(0, 0.5, shape)


def _spikes(draw: Draw, shape: tuple[int, ...]) -> Array:
    """One trial in ten takes up to three times as long."""
    spike = draw.uniform(0, math.log(3), shape) * (draw.random(shape) < 0.1)
    return draw.normal(0, 0.02, shape) + spike


def _tailed(draw: Draw, shape: tuple[int, ...]) -> Array:
    """Heavy tails upwards only; the median is 0."""
    pareto: Array = numpy.log1p(0.05 * draw.pareto(1.2, shape))
    return pareto - math.log1p(0.05 * (2 ** (1 / 1.2) - 1))


def _runs(
    seed: int,
    runs: int,
    blocks: int,
    points: int,
    phi: float,
    drift: float,
    noise: Noise,
    other_noise: Noise | None = None,
) -> Array:
    """ln(B/A) of the pairs of identical servers: an array of runs x points * METRICS x pairs.

    The drift is an AR(1) process with this coefficient from trial to trial and this standard deviation,
    common to all metrics."""
    draw = numpy.random.default_rng(seed)
    start = draw.normal(0, drift, (runs, 1))
    steps = draw.normal(0, drift * math.sqrt(1 - phi**2), (runs, blocks * points * 4))
    steps[:, :1] = start
    machine = lfilter([1.0], [1.0, -phi], steps).reshape(runs, blocks, points, 1, 4)
    shape = (runs, blocks, points, METRICS, 2)  # two trials of each target in a block
    a, b = noise(draw, shape), (other_noise or noise)(draw, shape)
    base_first = draw.random((runs, blocks, points, 1)) < 0.5
    # By position: A B B A where the base goes first, B A A B where it does not.
    outer, inner = machine[..., [0, 3]], machine[..., [1, 2]]
    of_a = a + numpy.where(base_first[..., None], outer, inner)
    of_b = b + numpy.where(base_first[..., None], inner, outer)
    pairs = numpy.moveaxis(of_b - of_a, 1, 3)  # runs, points, metrics, blocks, 2
    return pairs.reshape(runs, points * METRICS, blocks * 2)


def _verdicts(sample: Pairs | Runs) -> Indices:
    """Indices into VERDICTS, runs x questions."""
    return decide(*evidence(Noisy("lower", MARGIN, sample)), GATE_ALPHA)[0]


def _share_of_runs(found: Indices, verdict: Verdict) -> float:
    """In how many of the runs one question at least has this verdict."""
    return float((found == VERDICTS.index(verdict)).any(axis=-1).mean())


CIRCUMSTANCES = [
    (phi, drift, noise)
    for phi, drift in ((0.0, 0.0), (0.9, 0.1), (0.98, 0.1), (0.98, 1.0))
    for noise in (_quiet, _loud, _spikes, _tailed)
]


@pytest.mark.parametrize("phi, drift, noise", CIRCUMSTANCES)
def test_identical_servers_raise_an_alarm_in_at_most_one_run_of_a_hundred(
    phi: float, drift: float, noise: Noise
) -> None:
    logs = _runs(1, 2000, blocks=10, points=3, phi=phi, drift=drift, noise=noise)
    found = _verdicts(Pairs(logs))
    assert _share_of_runs(found, Verdict.REGRESSED) <= 0.01
    assert _share_of_runs(found, Verdict.IMPROVED) <= 0.01


@pytest.mark.parametrize("phi", [0.9, 0.98])
def test_many_points_raise_no_more_alarms(phi: float) -> None:
    logs = _runs(2, 1000, blocks=10, points=20, phi=phi, drift=1.0, noise=_loud)
    assert _share_of_runs(_verdicts(Pairs(logs)), Verdict.REGRESSED) <= 0.01


def test_a_difference_of_exactly_the_margin_is_called_one_in_at_most_one_run_of_a_hundred() -> None:
    logs = _runs(3, 4000, blocks=10, points=3, phi=0.9, drift=0.1, noise=_quiet)
    assert _share_of_runs(_verdicts(Pairs(logs + math.log1p(MARGIN))), Verdict.REGRESSED) <= 0.013
    assert _share_of_runs(_verdicts(Pairs(logs - math.log1p(MARGIN))), Verdict.IMPROVED) <= 0.013


@pytest.mark.parametrize("pairs", [20, 30])
@pytest.mark.parametrize("phi, drift, noise", CIRCUMSTANCES)
def test_intervals_cover_the_truth_as_they_say(
    pairs: int, phi: float, drift: float, noise: Noise
) -> None:
    truth = math.log(1.25)
    logs = truth + _runs(4, 2000, pairs // 2, points=1, phi=phi, drift=drift, noise=noise)
    interval = sign_interval(logs, 0.05)
    assert interval is not None
    covered = float(((interval[0] <= truth) & (truth <= interval[1])).mean())
    assert 0.93 <= covered <= 0.98


@pytest.mark.parametrize("phi", [0.9, 0.98])
def test_heavy_tails_of_one_target_alone_are_covered(phi: float) -> None:
    # Their own median of ln(B/A) is not 0: it is the truth here, taken from many pairs.
    def simulate(seed: int, runs: int, blocks: int) -> Array:
        return _runs(seed, runs, blocks, 1, phi, 0.1, noise=_quiet, other_noise=_tailed)

    truth = float(numpy.median(simulate(5, 10_000, 20)))
    interval = sign_interval(simulate(6, 4000, 10), 0.05)
    assert interval is not None
    covered = float(((interval[0] <= truth) & (truth <= interval[1])).mean())
    assert 0.93 <= covered <= 0.98


def test_a_level_of_five_percent_would_not_do() -> None:
    pair_by_pair = _runs(7, 8000, blocks=50, points=1, phi=0.9, drift=0.1, noise=_loud)
    samples = evidence(Noisy("lower", 0.0, Pairs(pair_by_pair)))
    assert _share_of_runs(decide(*samples, GATE_ALPHA)[0], Verdict.REGRESSED) <= 0.01
    assert _share_of_runs(decide(*samples, 0.05)[0], Verdict.REGRESSED) > 0.015


@pytest.mark.parametrize("points", [1, 3])
@pytest.mark.parametrize("pairs", [10, 20, 30, 60])
def test_the_least_effect_is_found_in_four_of_five_runs(pairs: int, points: int) -> None:
    logs = _runs(8, 4000, pairs // 2, points, phi=0.9, drift=0.02, noise=_quiet)
    level = GATE_ALPHA / (points * METRICS)
    effect = least_effect(float(logs.std()), pairs, level, math.log1p(MARGIN))
    assert effect is not None
    logs[:, 0] += effect  # at one point, of one metric
    found = _verdicts(Pairs(logs))[:, 0] == VERDICTS.index(Verdict.REGRESSED)
    assert 0.77 <= float(found.mean()) <= 0.84


def test_spikes_and_heavy_tails_do_not_hide_the_least_effect() -> None:
    for noise in (_spikes, _tailed):
        logs = _runs(9, 2000, 10, 3, phi=0.9, drift=0.02, noise=noise)
        level = GATE_ALPHA / (3 * METRICS)
        effect = least_effect(float(logs.std()), 20, level, math.log1p(MARGIN))
        assert effect is not None
        logs[:, 0] += effect
        found = _verdicts(Pairs(logs))[:, 0] == VERDICTS.index(Verdict.REGRESSED)
        assert float(found.mean()) >= 0.8


def _days(seed: int, count: int, bases: int, questions: int, tail: bool) -> tuple[Array, Array]:
    """ln(median) of runs of one server, `count` times: of the base's runs (count x questions x bases) and
    of one more (count x questions). Each run has its mood, of 3 %, and 20 trials with noise and drift.
    """
    draw = numpy.random.default_rng(seed)
    shape = (count, questions, bases + 1)
    mood = draw.normal(0, 0.03, shape)
    steps = draw.normal(0, 0.05 * math.sqrt(1 - 0.9**2), (*shape, 20))
    trials = lfilter([1.0], [1.0, -0.9], steps) + (_tailed if tail else _quiet)(draw, (*shape, 20))
    medians = mood + numpy.median(trials, axis=-1)
    return medians[..., :bases], medians[..., bases]


@pytest.mark.parametrize("tail", [False, True])
@pytest.mark.parametrize("bases", [2, 3, 6, 12])
def test_runs_of_one_server_raise_an_alarm_in_at_most_one_of_a_hundred(
    bases: int, tail: bool
) -> None:
    base, target = _days(10, 4000, bases, 6, tail)
    runs = Runs(base, target)
    found = _verdicts(runs)
    assert _share_of_runs(found, Verdict.REGRESSED) <= 0.01
    assert _share_of_runs(found, Verdict.IMPROVED) <= 0.01
    interval = runs.interval(0.05)
    assert interval is not None
    covered = float(((interval[0] <= 0) & (0 <= interval[1])).mean())
    assert 0.93 <= covered <= 0.98


def test_pairs_within_one_run_would_not_tell_how_runs_differ() -> None:
    draw = numpy.random.default_rng(11)
    moods = draw.normal(0, 0.03, (2000, 1, 2))
    trials = moods[..., None] + draw.normal(0, 0.02, (2000, 1, 2, 20))
    as_if_paired = trials[:, :, 1] - trials[:, :, 0]
    interval = sign_interval(as_if_paired, 0.05)
    assert interval is not None
    assert float(((interval[0] <= 0) & (0 <= interval[1])).mean()) < 0.5


@pytest.mark.parametrize("bases", [3, 6, 12])
def test_the_least_effect_between_runs_is_found_in_four_of_five(bases: int) -> None:
    draw = numpy.random.default_rng(12)
    base, target = draw.normal(0, 0.03, (20_000, 1, bases)), draw.normal(0, 0.03, (20_000, 1))
    # A sample of the base whose spread is just that of the truth.
    exact = numpy.linspace(-1, 1, bases)
    exact *= 0.03 / exact.std(ddof=1)
    effect = Runs(exact, numpy.array(0.0)).least_effect(GATE_ALPHA, math.log1p(MARGIN))
    assert effect is not None
    found = _verdicts(Runs(base, target + effect))
    assert float((found == VERDICTS.index(Verdict.REGRESSED)).mean()) == pytest.approx(
        0.8, abs=0.01
    )
