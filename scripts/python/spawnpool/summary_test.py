import statistics

import pytest

from spawnpool.documents import Json
from spawnpool.plan import trial_round
from spawnpool.summary import summarize
from spawnpool.testing import example_result, fail


@pytest.fixture(name="result")
def _result() -> Json:
    return example_result()


def _first(result: Json) -> Json:
    entry: Json = summarize(result["suite"], result["trials"])[0]
    return entry


def _trials(result: Json, target: str) -> list[Json]:
    """The target's trials at the first scenario and point, in the order in which they ran."""
    return [
        trial
        for trial in result["trials"]
        if (trial["target"], trial["scenario"], trial["point"]["connections"])
        == (target, "keep-alive", 16)
    ]


def test_there_is_an_entry_per_scenario_and_point(result: Json) -> None:
    places = [(entry["scenario"], entry["point"]["connections"]) for entry in result["summary"]]
    assert places == [("keep-alive", 16), ("keep-alive", 64), ("churn", 16)]


def test_a_fraction_is_told_with_the_rate_it_came_to() -> None:
    entries = example_result(suite_name="rate-sweep")["summary"]
    points = [entry["point"] for entry in entries]
    assert [point["rate_fraction"] for point in points] == [0.1, 0.3, 0.6, 0.8, 0.95]
    for entry in entries:
        assert [target["trials"]["valid"] for target in entry["targets"]] == [6, 6]
        (offered,) = {t["metrics"]["load.offered_rps"]["median"] for t in entry["targets"]}
        assert offered == entry["point"]["rate"]
        assert offered == pytest.approx(
            points[0]["rate"] * entry["point"]["rate_fraction"] / 0.1, abs=1
        )


def test_medians_and_ratio_are_those_of_the_trials(result: Json) -> None:
    entry = _first(result)
    rates = {
        name: {trial_round(t, 2): t["load"]["throughput_rps"] for t in _trials(result, name)}
        for name in ("thread-per-connection", "worker-pool")
    }
    for target in entry["targets"]:
        metric = target["metrics"]["load.throughput_rps"]
        assert metric["median"] == statistics.median(rates[target["target"]].values())
        assert metric["trials"] == 6 and target["trials"] == {"valid": 6, "invalid": 0, "failed": 0}
    ratios = sorted(
        rates["worker-pool"][key] / rate for key, rate in rates["thread-per-connection"].items()
    )
    (comparison,) = entry["comparisons"]
    ratio = comparison["ratios"]["load.throughput_rps"]
    assert ratio["ratio"] == pytest.approx((ratios[2] * ratios[3]) ** 0.5)
    assert ratio["interval"] == pytest.approx([ratios[0], ratios[-1]])
    assert (ratio["pairs"], ratio["reason"]) == (6, None)


def test_a_pair_counts_only_with_both_trials_valid(result: Json) -> None:
    one, other = _trials(result, "worker-pool")[0], _trials(result, "thread-per-connection")[3]
    assert trial_round(one, 2) != trial_round(other, 2)
    fail(one, "error-share", "too many errors")
    fail(other, "generator-bound", "the generator had no time left")
    entry = _first(result)
    assert [target["trials"]["valid"] for target in entry["targets"]] == [5, 5]
    ratio = entry["comparisons"][0]["ratios"]["load.throughput_rps"]
    assert ratio["pairs"] == 4 and ratio["ratio"] is not None
    assert ratio["interval"] is None and ratio["reason"] == "an interval needs 6 pairs"


def test_exact_metrics_are_compared_without_interval(result: Json) -> None:
    ratios = _first(result)["comparisons"][0]["ratios"]
    exact = ratios["server.allocations.per_connection"]
    assert exact["ratio"] == pytest.approx(1 / 14) and exact["interval"] is None
    assert "exact" in exact["reason"]
    assert ratios["server.allocations.per_request"]["ratio"] == 0


def test_an_exact_metric_that_varies_is_flagged(result: Json) -> None:
    _trials(result, "worker-pool")[2]["server"]["allocations"]["per_request"] = 0.5
    base, pool = _first(result)["targets"]
    assert pool["metrics"]["server.allocations.per_request"]["varies"]
    assert not base["metrics"]["server.allocations.per_request"]["varies"]
    assert not pool["metrics"]["load.throughput_rps"]["varies"]  # not an exact one


def test_nothing_to_divide_by_is_said(result: Json) -> None:
    for trial in _trials(result, "thread-per-connection"):
        trial["server"]["allocations"]["per_request"] = 0
        trial["server"]["cpu_us_per_request"] = 0
    ratios = _first(result)["comparisons"][0]["ratios"]
    assert ratios["server.allocations.per_request"]["reason"] == "the base counts 0"
    assert ratios["server.cpu_us_per_request"]["reason"] == "a value of 0 has no logarithm"
    assert ratios["server.cpu_us_per_request"]["ratio"] is None


def test_what_was_not_measured_keeps_its_reason(result: Json) -> None:
    for trial in _trials(result, "worker-pool"):
        trial["server"]["allocations"]["per_request"] = None
        trial["unmeasured"]["server.allocations.per_request"] = "no accounting pass was asked for"
    entry = _first(result)
    metric = entry["targets"][1]["metrics"]["server.allocations.per_request"]
    assert metric["median"] is None and metric["reason"] == "no accounting pass was asked for"
    ratio = entry["comparisons"][0]["ratios"]["server.allocations.per_request"]
    assert (ratio["ratio"], ratio["pairs"]) == (None, 0)


def test_no_valid_trial_is_no_number(result: Json) -> None:
    for trial in _trials(result, "worker-pool"):
        fail(trial, "target-died-under-load", "it died")
    entry = _first(result)
    metric = entry["targets"][1]["metrics"]["load.throughput_rps"]
    assert (metric["median"], metric["reason"]) == (None, "no valid trial")
    assert entry["comparisons"][0]["ratios"]["load.throughput_rps"]["ratio"] is None
