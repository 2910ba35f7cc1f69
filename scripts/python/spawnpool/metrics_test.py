import re

from spawnpool.documents import Json
from spawnpool.metrics import METRICS, Metric, shown
from spawnpool.summary import summarize
from spawnpool.testing import example_result


def _metric(path: str) -> Metric:
    (metric,) = (metric for metric in METRICS if metric.path == path)
    return metric


def _rejecting(share: float) -> Json:
    """`quick`, in whose scenario keep-alive the pool rejects this share of the requests."""
    result = example_result()
    for trial in result["trials"]:
        if (trial["target"], trial["scenario"]) == ("worker-pool", "keep-alive"):
            trial["load"]["rejected"] = share * trial["load"]["requests"]
    result["summary"] = summarize(result["suite"], result["trials"])
    return result


def test_answers_of_503_serve_nobody() -> None:
    trial = _rejecting(0.25)["trials"]
    for one in trial:
        served = _metric("load.served_rps").value(one)
        share = _metric("load.rejected_percent").value(one)
        rejected = one["load"]["rejected"]
        assert share == (25 if rejected else 0)
        assert served == (one["load"]["requests"] - rejected) / one["window_s"]


def test_what_a_load_has_nothing_of_is_no_row() -> None:
    paths = [metric.path for metric in shown(_rejecting(0)["summary"][0])]
    assert paths == [
        "load.throughput_rps",
        "load.latency_us.p50",
        "load.latency_us.p99",
        "load.latency_us.p99_9",
        "server.cpu_us_per_request",
        "server.allocations.per_request",
        "server.allocations.per_connection",
    ]
    entries = _rejecting(0.25)["summary"]
    rejecting = [metric.path for metric in shown(entries[0])]
    assert {"load.served_rps", "load.rejected_percent"} == set(rejecting) - set(paths)
    assert [metric.path for metric in shown(entries[2])] == paths


def test_an_open_loop_shows_what_was_offered_and_how_long_it_waited() -> None:
    entry = example_result(suite_name="rate-sweep")["summary"][0]
    paths = {metric.path for metric in shown(entry)}
    assert {"load.offered_rps", "load.wait_us.p99", "load.generator.send_lag_us"} <= paths


def test_a_reason_is_that_of_the_leaf_or_of_what_is_above_it() -> None:
    trial = example_result()["trials"][0]
    assert _metric("load.wait_us.p99").value(trial) is None
    assert _metric("load.wait_us.p99").reason(trial).startswith("closed loop: ")
    assert _metric("shutdown.lost").reason(trial) == "none was asked for"
    trial["window_s"] = None
    assert _metric("load.served_rps").value(trial) is None
    assert "cannot be told" in _metric("load.served_rps").reason(trial)


def test_only_what_is_better_somewhere_has_an_arrow() -> None:
    assert _metric("load.throughput_rps").title.endswith(" ↑")
    assert _metric("shutdown.exit_s").title.endswith(" ↓")
    assert _metric("load.offered_rps").title == "offered rate, requests/s"


def test_every_metric_has_a_unit() -> None:
    words = re.compile(r"% of [a-z ]+|[A-Za-zµ ]+(/[a-z]+)?")
    assert [
        m.label for m in METRICS if not words.fullmatch(m.unit) or m.label.count(m.unit) != 1
    ] == []
    assert _metric("load.throughput_rps").unit == "requests/s"
    assert _metric("load.rejected_percent").unit == "% of answers"
    assert _metric("server.allocations.per_request").unit == "allocations/request"
