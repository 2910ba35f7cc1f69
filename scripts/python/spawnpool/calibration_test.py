import copy

import pytest

from spawnpool.calibration import ROUNDS, calibration_plan, calibration_suite, resolved, saturations
from spawnpool.documents import Json
from spawnpool.plan import draw_plan
from spawnpool.suite import load_suite, trial_spec
from spawnpool.testing import example_result, fail


def _suite(points: list[Json], **scenario: object) -> Json:
    suite = load_suite("rate-sweep")
    suite["scenarios"][0].update(points=points, **scenario)
    return suite


def test_a_suite_without_fractions_needs_none() -> None:
    assert calibration_plan(load_suite("quick")) == []
    assert calibration_plan(_suite([{"rate": 5}, {"connections": 3}])) == []


def test_each_target_is_measured_in_alternation_once_for_all_fractions_of_a_load() -> None:
    plan = calibration_plan(load_suite("rate-sweep"))
    assert [(planned.target, planned.block, planned.position) for planned in plan] == [
        ("thread-per-connection", 0, 0),
        ("worker-pool", 0, 1),
        ("worker-pool", 1, 0),
        ("thread-per-connection", 1, 1),
        ("thread-per-connection", 2, 0),
        ("worker-pool", 2, 1),
    ]
    assert all(planned.point == {"connections": 64} for planned in plan)


def test_each_number_of_connections_has_its_own_saturation() -> None:
    fractions: list[Json] = [
        {"rate_fraction": 0.5, "connections": 4},
        {"rate_fraction": 0.9, "connections": 4},
        {"rate_fraction": 0.5, "pipeline": 2, "background": {"idle": 7}, "arrivals": "uniform"},
        {"rate": 3},
    ]
    points = [planned.point for planned in calibration_plan(_suite(fractions))][:: 2 * ROUNDS]
    assert points == [{"connections": 4}, {"connections": 64, "pipeline": 2}]


def test_the_calibration_is_a_closed_loop_with_nothing_beside_it() -> None:
    suite = _suite(
        [{"rate_fraction": 0.5}],
        rate_fraction=0.5,
        arrivals="uniform",
        background={"idle": 7},
        shutdown_after="10ms",
        limits={"error_share": 1},
    )
    spec = trial_spec(calibration_suite(suite), calibration_plan(suite)[0], seed=1)
    assert spec["scenario"].keys() == {
        "name",
        "request",
        "expect",
        "requests_per_connection",
        "connections",
    }
    assert spec["point"] == {"connections": 64} and spec["accounting"] is None
    assert spec["limits"] == {"error_share": 1} and spec["duration"] == suite["duration"]


def test_the_lowest_median_of_valid_trials_is_what_fractions_are_of() -> None:
    result = example_result(suite_name="rate-sweep")
    suite, trials = load_suite("rate-sweep"), copy.deepcopy(result["calibration"])
    for trial, rate in zip(trials, (50, 80, 81, 60, 70, 999)):
        trial["load"]["throughput_rps"] = rate
    fail(trials[5], "error-share", "too many errors")
    (found,) = saturations(suite, trials)
    assert found.targets == {"thread-per-connection": 60, "worker-pool": 80.5}
    assert found.lowest == 60
    assert "thread-per-connection 60, worker-pool 8" in found.describe()

    plan = draw_plan(suite, 1)
    rates = resolved(suite, plan, trials)
    for before, after in zip(plan, rates):
        fraction = before.point["rate_fraction"]
        assert after.point == {"rate_fraction": fraction, "rate": pytest.approx(60 * fraction)}
        assert (after.target, after.block) == (before.target, before.block)
    assert resolved(suite, rates, trials) == rates  # a second time changes nothing


def test_a_fraction_of_the_scenario_is_resolved_at_every_point() -> None:
    suite = _suite([{"connections": 64}], rate_fraction=0.5)
    trials = example_result(suite_name="rate-sweep")["calibration"]
    for trial in trials:
        trial["load"]["throughput_rps"] = 100
    points = [planned.point for planned in resolved(suite, draw_plan(suite, 1), trials)]
    assert points[0] == {"connections": 64, "rate_fraction": 0.5, "rate": 50}


def test_a_target_nobody_could_measure_leaves_the_others() -> None:
    suite, trials = load_suite("rate-sweep"), example_result(suite_name="rate-sweep")["calibration"]
    for trial in trials:
        if trial["target"] == "worker-pool":
            fail(trial, "generator-bound", "the generator was the limit")
    (found,) = saturations(suite, trials)
    assert found.targets["worker-pool"] is None
    assert found.lowest == found.targets["thread-per-connection"]
    assert "worker-pool not known" in found.describe()
    assert saturations(suite, [])[0].lowest is None
    plan = draw_plan(suite, 1)
    assert resolved(suite, plan, []) == plan
