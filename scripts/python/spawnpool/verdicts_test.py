"""Verdicts on samples whose answer is known. What they promise for thousands of runs is in
verdicts_simulation_test.py."""
import math

import numpy
import pytest

from spawnpool.statistics import Pairs, pairs_needed
from spawnpool.verdicts import (
    GATE_ALPHA,
    Exact,
    Noisy,
    Unanswerable,
    Verdict,
    exit_status,
    gate,
)

REGRESSED, IMPROVED = Verdict.REGRESSED, Verdict.IMPROVED
EQUIVALENT, INCONCLUSIVE = Verdict.EQUIVALENT, Verdict.INCONCLUSIVE


def _noisy(ratio: float, n: int = 20, spread: float = 0.01, better: str = "lower") -> Noisy:
    """Pairs whose ratios lie evenly spread around this one; a margin of 5 %."""
    return Noisy(better, 0.05, Pairs(math.log(ratio) + spread * numpy.linspace(-1, 1, n)))


@pytest.mark.parametrize(
    "ratio, better, verdict",
    [
        (1.2, "lower", REGRESSED),
        (1.2, "higher", IMPROVED),
        (0.8, "lower", IMPROVED),
        (0.8, "higher", REGRESSED),
        (1.02, "lower", EQUIVALENT),
        (0.98, "higher", EQUIVALENT),
        (1.05, "lower", INCONCLUSIVE),
        (1 / 1.05, "higher", INCONCLUSIVE),
    ],
)
def test_a_verdict_is_where_the_interval_lies(ratio: float, better: str, verdict: Verdict) -> None:
    (judged,) = gate([_noisy(ratio, better=better)])
    assert judged.verdict == verdict
    assert judged.ratio == pytest.approx(ratio)
    assert judged.interval is not None and judged.gate_interval is not None
    assert judged.gate_interval[0] <= judged.interval[0] <= ratio <= judged.interval[1]
    assert judged.coverage is not None and judged.gate_coverage is not None
    assert 0.95 <= judged.coverage <= 1 - GATE_ALPHA <= judged.gate_coverage
    assert (judged.n, judged.reason) == (20, None)


def test_swapping_the_targets_swaps_the_verdict() -> None:
    opposite = {REGRESSED: IMPROVED, IMPROVED: REGRESSED}
    draw = numpy.random.default_rng(1)
    seen = set()
    for center in numpy.linspace(-0.2, 0.2, 81):
        logs = draw.normal(center, 0.03, 20)
        (there,), (back,) = gate([Noisy("lower", 0.05, Pairs(logs))]), gate(
            [Noisy("lower", 0.05, Pairs(-logs))]
        )
        assert there.verdict is not None
        assert back.verdict == opposite.get(there.verdict, there.verdict)
        assert back.least_effect == pytest.approx(there.least_effect)
        seen.add(there.verdict)
    assert seen == set(Verdict)


def test_the_verdict_says_what_the_interval_of_its_level_says() -> None:
    draw = numpy.random.default_rng(2)
    for count in (1, 5, 40):
        questions = [
            Noisy("lower", 0.05, Pairs(draw.normal(draw.choice([0, 0.1, -0.1]), 0.05, 30)))
            for _ in range(count)
        ]
        for judged in gate(questions):
            assert judged.gate_interval is not None and judged.interval is not None
            low, high = judged.gate_interval
            assert (judged.verdict == REGRESSED) == (low > 1.05)
            assert (judged.verdict == IMPROVED) == (high < 1 / 1.05)
            low, high = judged.interval
            assert (judged.verdict == EQUIVALENT) == (1 / 1.05 <= low and high <= 1.05)


def test_holms_method_asks_more_of_the_first_and_less_of_each_next() -> None:
    levels = [judged.gate_coverage or 0 for judged in gate([_noisy(1.5, n=20_000)] * 3)]
    exact = [1 - GATE_ALPHA / 3, 1 - GATE_ALPHA / 2, 1 - GATE_ALPHA]
    assert levels == pytest.approx(exact, abs=0.0005)
    assert all(level >= wanted for level, wanted in zip(levels, exact))


def test_pairs_that_are_too_few_for_a_run_of_many_metrics() -> None:
    one = _noisy(1.5, n=7)
    assert pairs_needed(GATE_ALPHA) == 7 and pairs_needed(GATE_ALPHA / 2) == 8
    assert gate([one])[0].verdict == REGRESSED
    first, second = gate([one, one])
    assert (first.verdict, second.verdict) == (INCONCLUSIVE, INCONCLUSIVE)
    assert first.reason == "7 pairs: to tell a difference this run needs 8"
    assert first.interval is not None and first.gate_interval is None and first.least_effect is None


def test_equivalence_does_not_pay_for_other_metrics() -> None:
    assert {judged.verdict for judged in gate([_noisy(1.0, n=6)] * 10)} == {EQUIVALENT}


@pytest.mark.parametrize(
    "n, words", [(0, "no pair of valid trials has it"), (1, "1 pair:"), (5, "5 pairs:")]
)
def test_below_six_pairs_nothing_is_told(n: int, words: str) -> None:
    for spread in (0.0, 0.01):
        (judged,) = gate([_noisy(1.0, n, spread)])
        assert (judged.verdict, judged.interval, judged.n) == (INCONCLUSIVE, None, n)
        assert judged.reason is not None and judged.reason.startswith(words)


def test_least_effect_is_that_of_the_formula_where_it_holds() -> None:
    draw = numpy.random.default_rng(3)
    logs = draw.normal(0, 0.04, 2000)
    (judged,) = gate([Noisy("lower", 0.05, Pairs(logs))], alpha=0.05)
    expected = math.log(1.05) + 3.5 * float(numpy.std(logs, ddof=1)) / math.sqrt(2000)
    assert judged.least_effect == pytest.approx(math.expm1(expected), rel=0.01)


@pytest.mark.parametrize(
    "base, target, better, verdict",
    [
        (4, 4, "lower", EQUIVALENT),
        (100, 101, "lower", EQUIVALENT),
        (100, 99, "lower", EQUIVALENT),
        (100, 101.1, "lower", REGRESSED),
        (100, 98.9, "lower", IMPROVED),
        (100, 98.9, "higher", REGRESSED),
        (0, 0, "lower", EQUIVALENT),
        (0, 0.001, "lower", REGRESSED),
        (2, 0, "lower", IMPROVED),
        (-1, -1, "lower", EQUIVALENT),
        (-1, 1, "lower", REGRESSED),
    ],
)
def test_exact_metrics_differ_beyond_their_tolerance(
    base: float, target: float, better: str, verdict: Verdict
) -> None:
    (judged,) = gate([Exact(better, 0.01, base, target)])
    assert judged.verdict == verdict and judged.interval is None
    assert judged.ratio == (target / base if base > 0 else None)
    assert (judged.reason is None) == (base > 0)


def test_counts_cost_the_sampled_metrics_nothing() -> None:
    counts = [Exact("lower", 0.0, 1, 1)] * 50 + [Unanswerable("it was not counted")]
    mixed = gate([*counts, _noisy(1.5, n=7)])
    assert [judged.verdict for judged in mixed] == [EQUIVALENT] * 50 + [INCONCLUSIVE, REGRESSED]
    assert mixed[50].reason == "it was not counted"
    assert gate([]) == []


@pytest.mark.parametrize(
    "verdicts, lenient, strict",
    [
        ([], 0, 0),
        ([EQUIVALENT, IMPROVED, None], 0, 0),
        ([EQUIVALENT, INCONCLUSIVE], 0, 3),
        ([INCONCLUSIVE, REGRESSED], 1, 1),
    ],
)
def test_exit_status(verdicts: list[Verdict | None], lenient: int, strict: int) -> None:
    assert exit_status(verdicts, strict=False) == lenient
    assert exit_status(verdicts, strict=True) == strict
