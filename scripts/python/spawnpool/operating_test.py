"""Rates and noise of simulated results whose truth is known."""
import math
from functools import cache
from pathlib import Path

import numpy
import pytest

from spawnpool.documents import Json
from spawnpool.operating import Condition, evaluate_set, exceeded, pooled, rate
from spawnpool.statistics import sign_coverage
from spawnpool.summary import summarize
from spawnpool.testing import example_result
from spawnpool.verdicts import GATE_ALPHA

BASE, POOL = "thread-per-connection", "worker-pool"
BLOCKS, RUNS = 10, 30
TRIAL, RUN = 0.02, 0.05  # standard deviations of ln(value): of a trial within its run, of a run
SAMPLED = ("load.throughput_rps", "server.cpu_us_per_request")


@cache
def _example(blocks: int) -> Json:
    return example_result({BASE: 150_000.0, POOL: 150_000.0}, blocks=blocks)


def simulated(
    effect: float = 0.0, runs: int = RUNS, blocks: int = BLOCKS, seed: int = 1
) -> list[tuple[Path, Json]]:
    """Results of two targets that are the same but for this relative change of the second's times. Of
    a trial, its load, its server and the allocations are its own, the rest is shared."""
    draw = numpy.random.default_rng(seed)
    example = _example(blocks)
    results = []
    for run in range(runs):
        mood = draw.normal(0, RUN)
        trials = []
        for trial in example["trials"]:
            # Throughput and CPU time are noisy each for itself.
            throughput, cpu = draw.normal(0, TRIAL, 2)
            slower = math.log1p(effect) if trial["target"] == POOL else 0.0
            load, server = trial["load"], trial["server"]
            counted = {
                **server["allocations"],
                "per_request": 2.0,
                "per_connection": 14.0,
                "bytes_per_request": 64.0,
                "bytes_per_connection": 0.0,
            }
            rps = 1e5 * math.exp(mood + throughput - slower)
            cost = 10 * math.exp(cpu - mood + slower)
            trials.append(
                {
                    **trial,
                    "load": {**load, "throughput_rps": rps},
                    "server": {**server, "cpu_us_per_request": cost, "allocations": counted},
                }
            )
        suite = dict(example["suite"])
        result: Json = {**example, "context": dict(example["context"]), "suite": suite}
        result.update(trials=trials, summary=summarize(suite, trials))
        results.append((Path(f"{run:03}.json"), result))
    return results


def test_equal_targets_have_few_false_alarms_intervals_that_hold_and_the_noise_put_in() -> None:
    entry = evaluate_set(Condition(load=False, effect=None), simulated())
    assert (entry["comparisons"], entry["faulty"], entry["stated"]) == (RUNS, 0, GATE_ALPHA)
    assert entry["told_apart"]["k"] == 0 and not exceeded(entry)
    told = {metric["metric"]: metric for metric in entry["metrics"]}
    for path in SAMPLED:
        places = told[path]["places"]
        low, high = told[path]["holds_one"]["interval"]
        assert told[path]["holds_one"]["n"] == RUNS * len(places) > RUNS
        assert low < sign_coverage(2 * BLOCKS, 0.05) < high
        for place in places:
            assert place["ratio"] == pytest.approx(1, abs=0.01)
            assert place["sigma_pairs"] == pytest.approx(math.sqrt(2) * TRIAL, rel=0.1)
            # The median of as many trials as there are pairs adds a little.
            of_median = TRIAL * math.sqrt(math.pi / 2 / (2 * BLOCKS))
            assert place["sigma_runs"] == pytest.approx(math.hypot(RUN, of_median), rel=0.3)
            assert 0.05 < place["least_effect"] < 0.15
    counted = told["server.allocations.per_request"]
    assert (counted["gate"], counted["regressed"]["k"]) == ("exact", 0)
    assert (counted["holds_one"]["share"], counted["places"]) == (None, [])


def test_an_effect_is_found_the_more_often_the_larger_it_is() -> None:
    found = []
    for percent in (2, 8, 30):
        entry = evaluate_set(Condition(False, percent), simulated(percent / 100))
        assert (entry["stated"], entry["p_value"]) == (None, None) and not exceeded(entry)
        for metric in (metric for metric in entry["metrics"] if metric["metric"] in SAMPLED):
            sign = 1 if metric["metric"] == SAMPLED[1] else -1
            ratios = [place["ratio"] for place in metric["places"]]
            assert ratios == pytest.approx([(1 + percent / 100) ** sign] * len(ratios), rel=0.01)
            assert metric["improved"]["k"] == 0
            found.append((percent, metric["regressed"]["share"]))
    assert {share for percent, share in found if percent == 2} == {0.0}
    assert all(0.1 < share < 0.9 for percent, share in found if percent == 8)
    assert {share for percent, share in found if percent == 30} == {1.0}


def test_targets_that_differ_are_no_equal_ones_and_the_check_says_so() -> None:
    entry = evaluate_set(Condition(False, None), simulated(0.3, runs=3))
    assert entry["told_apart"]["share"] == 1 and exceeded(entry)


def test_data_that_cannot_be_judged_are_counted() -> None:
    results = simulated(runs=2)
    _, broken = results[1]
    broken["trials"][0]["server"]["allocations"]["per_request"] = 77.0
    broken["summary"] = summarize(broken["suite"], broken["trials"])
    assert evaluate_set(Condition(False, None), results)["faulty"] == 1


def test_too_few_pairs_and_a_single_run_leave_numbers_out() -> None:
    entry = evaluate_set(Condition(True, None), simulated(runs=1, blocks=1))
    sampled = next(metric for metric in entry["metrics"] if metric["metric"] == SAMPLED[0])
    assert sampled["holds_one"] == {"k": 0, "n": 0, "share": None, "interval": None}
    assert sampled["regressed"]["n"] == len(sampled["places"])
    assert {place["sigma_runs"] for place in sampled["places"]} == {None}
    assert {place["least_effect"] for place in sampled["places"]} == {None}
    assert all(place["sigma_pairs"] > 0 for place in sampled["places"])


def test_rates_have_the_intervals_of_clopper_and_pearson() -> None:
    # C. J. Clopper and E. S. Pearson, Biometrika 26, 1934; 0 of n: 1 - (alpha/2)^(1/n).
    assert rate(0, 20)["interval"] == pytest.approx([0, 1 - 0.025 ** (1 / 20)])
    assert rate(20, 20)["interval"] == pytest.approx([0.025 ** (1 / 20), 1])
    assert rate(5, 10)["interval"] == pytest.approx([0.187, 0.813], abs=5e-4)


@pytest.mark.parametrize("alarms, more", [(0, False), (1, False), (2, False), (3, True)])
def test_more_false_alarms_than_stated_are_more_than_chance_explains(
    alarms: int, more: bool
) -> None:
    results = simulated(0.3, runs=alarms) + simulated(runs=20 - alarms)
    entry = evaluate_set(Condition(False, 0), results)
    assert entry["told_apart"]["k"] == alarms
    assert exceeded(entry) == more


def test_spread_is_pooled_within_samples() -> None:
    assert pooled([[1.0, 3.0], [101.0, 103.0], [7.0]]) == pytest.approx(math.sqrt(2))
    assert pooled([[1.0], []]) is None


@pytest.mark.parametrize(
    "condition, name, equal",
    [
        (Condition(False, None), "idle", True),
        (Condition(True, 0), "load-effect-0", True),
        (Condition(False, 20), "idle-effect-20", False),
    ],
)
def test_a_condition_has_a_name(condition: Condition, name: str, equal: bool) -> None:
    assert (condition.name, condition.equal) == (name, equal)
