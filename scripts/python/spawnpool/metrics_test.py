import re

import pytest

from spawnpool.documents import Json
from spawnpool.errors import UsageError
from spawnpool.metrics import METRICS, SHOWN, Gate, Metric, gates, shown, varies
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
        "server.context_switches_per_request",
        "server.threads_peak",
        "server.rss_peak_bytes",
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


def test_what_is_gated_by_default() -> None:
    catalogued = gates({})
    kinds = {
        kind: {p for p, g in catalogued.items() if g.kind == kind} for kind in ("exact", "noisy")
    }
    assert kinds["noisy"] == {"load.throughput_rps", "server.cpu_us_per_request"}
    assert {"server.allocations.per_request", "server.instructions_per_request"} < kinds["exact"]
    for metric in METRICS:
        gate = catalogued[metric.path]
        assert gate == metric.gate and (gate.margin is None) == (gate.kind == "shown")
        assert metric.better is not None or gate == SHOWN


def test_a_suite_says_otherwise() -> None:
    asked = gates(
        {
            "metrics": [
                {"path": "load.latency_us.p50", "gate": "noisy", "margin": 0.1},
                {"path": "load.throughput_rps", "gate": "shown"},
                {"path": "server.cpu_us_per_request", "gate": "noisy"},
                {"path": "server.allocations.per_request", "gate": "exact", "margin": 0.2},
            ]
        }
    )
    assert asked["load.latency_us.p50"] == Gate("noisy", 0.1)
    assert asked["load.throughput_rps"] == SHOWN
    assert asked["server.cpu_us_per_request"] == _metric("server.cpu_us_per_request").gate
    assert asked["server.allocations.per_request"] == Gate("exact", 0.2)
    assert asked["server.allocations.per_connection"] == Gate("exact", 0.001)


@pytest.mark.parametrize(
    "path, gate, margin, words",
    [
        ("load.latency_us.p98", "noisy", 0.1, "unknown metric 'load.latency_us.p98': did you mean"),
        ("load.latency_us.p50", "noisy", None, "has no margin of its own as noisy: give one"),
        ("load.latency_us.p50", "shown", 0.1, "is only shown: leave its margin out"),
        ("load.offered_rps", "noisy", 0.1, "tells the load, nothing is better there: show it"),
    ],
)
def test_what_a_suite_cannot_ask_for(
    path: str, gate: str, margin: float | None, words: str
) -> None:
    entry = {"path": path, "gate": gate} | ({} if margin is None else {"margin": margin})
    with pytest.raises(UsageError) as error:
        gates({"metrics": [entry]})
    assert words in str(error.value)
    good = {"path": "load.latency_us.p50", "gate": "noisy", "margin": 0.1}
    with pytest.raises(UsageError, match="is there already: name each once"):
        gates({"metrics": [good, good]})


def test_counts_vary_when_they_are_further_apart_than_their_tolerance() -> None:
    assert varies([2.0, 2.0, 2.5], 0.0) and not varies([2.0, 2.0], 0.0)
    assert not varies([100.0, 101.0], 0.01) and varies([100.0, 101.1], 0.01)
    assert varies([-1.0, 1.0], 0.5) and not varies([0.0, 0.0], 0.0)
