import math
import statistics
from pathlib import Path
from typing import Any

import pytest

from spawnpool.comparison import Comparison, Line, within
from spawnpool.documents import Json
from spawnpool.errors import UsageError
from spawnpool.plan import trial_round
from spawnpool.summary import summarize
from spawnpool.testing import example_result, fail
from spawnpool.verdicts import Verdict

THROUGHPUT, CPU = "load.throughput_rps", "server.cpu_us_per_request"
PER_REQUEST = "server.allocations.per_request"
BASE, POOL = "thread-per-connection", "worker-pool"


@pytest.fixture(name="result")
def _result() -> Json:
    """20 pairs at each point of `quick`; the pool is 10 % faster, and allocates less."""
    return example_result(blocks=10)


def _compared(result: Json, *targets: str) -> Comparison:
    result["summary"] = summarize(result["suite"], result["trials"])
    return within(Path("result.json"), result, targets or None)


def _line(comparison: Comparison, path: str, place: str = "keep-alive, connections 16") -> Line:
    (line,) = (li for li in comparison.lines if (li.metric.path, li.place) == (path, place))
    return line


def _trials(result: Json, target: str, connections: int = 16) -> list[Json]:
    """The target's trials of the scenario keep-alive with so many connections."""
    wanted = (target, "keep-alive", connections)
    return [
        trial
        for trial in result["trials"]
        if (trial["target"], trial["scenario"], trial["point"]["connections"]) == wanted
    ]


def _set(trial: Json, path: str, value: Any) -> None:
    *steps, last = path.split(".")
    for step in steps:
        trial = trial[step]
    trial[last] = value


def test_a_faster_target_is_told_with_its_numbers(result: Json) -> None:
    line = _line(_compared(result), THROUGHPUT)
    assert (line.base, line.target, line.word) == (BASE, POOL, "faster")
    base = {trial_round(t, 2): t["load"]["throughput_rps"] for t in _trials(result, BASE)}
    pool = {trial_round(t, 2): t["load"]["throughput_rps"] for t in _trials(result, POOL)}
    ratios = sorted(pool[key] / base[key] for key in base)
    assert line.base_value == statistics.median(base.values())
    assert line.judgement.ratio == pytest.approx(math.sqrt(ratios[9] * ratios[10]))
    assert line.judgement.interval == pytest.approx((ratios[5], ratios[14]))
    assert line.judgement.n == 20


def test_targets_change_places_and_so_do_the_words(result: Json) -> None:
    comparison = _compared(result, POOL, BASE)
    assert _line(comparison, THROUGHPUT).word == "slower"
    assert _line(comparison, CPU).word == _line(comparison, PER_REQUEST).word == "worse"
    assert comparison.status(strict=False) == 1
    assert _compared(result, BASE, POOL).status(strict=True) == 0


def test_identical_targets_are_equivalent() -> None:
    comparison = _compared(example_result({BASE: 150_000.0, POOL: 150_000.0}, blocks=15))
    words = {_line(comparison, path).word for path in (THROUGHPUT, CPU)}
    assert words == {"equivalent"}


def test_shown_metrics_have_an_interval_and_no_verdict(result: Json) -> None:
    comparison = _compared(result)
    line = _line(comparison, "load.latency_us.p99")
    assert line.judgement.interval is not None
    assert (line.judgement.verdict, line.word) == (None, "")
    result["suite"]["metrics"] = [
        {"path": "load.latency_us.p99", "gate": "noisy", "margin": 0.01},
        {"path": THROUGHPUT, "gate": "shown"},
    ]
    judged = _compared(result)
    assert _line(judged, "load.latency_us.p99").word == "faster"
    assert _line(judged, THROUGHPUT).word == ""


def test_every_other_target_is_compared_with_the_base() -> None:
    rates = {"worker-pool": 1e5, "thread-per-connection": 1e5, "nginx": 2e5}
    result = example_result(rates, "peers")
    names = [target["name"] for target in result["suite"]["targets"]]
    comparison = _compared(result)
    assert {(line.base, line.target) for line in comparison.lines} == {
        (names[0], other) for other in names[1:]
    }
    assert {(line.base, line.target) for line in _compared(result, "nginx", BASE).lines} == {
        ("nginx", BASE)
    }


def test_each_target_is_judged_against_the_one_that_the_suite_says() -> None:
    rates = {BASE: 150_000.0, POOL: 165_000.0, "go-net-http": 130_000.0, "go-fasthttp": 170_000.0}
    result = example_result(rates, "peers", blocks=5)
    against = {"go-fasthttp": POOL, "go-net-http": BASE}
    for target in result["suite"]["targets"]:
        if target["name"] in against:
            target["against"] = against[target["name"]]
    compared = {(line.base, line.target) for line in _compared(result).lines}
    assert compared == {(BASE, "go-net-http"), (POOL, "go-fasthttp")}
    compared = {(line.base, line.target) for line in _compared(result, POOL, BASE).lines}
    assert compared == {(POOL, BASE)}


@pytest.mark.parametrize(
    "targets, words",
    [
        (["worker-pol", BASE], "unknown target 'worker-pol': did you mean 'worker-pool'?"),
        ([POOL], "two targets or more are to be compared, not worker-pool: name them with"),
        ([POOL, POOL], "two targets or more are to be compared, not worker-pool, worker-pool"),
    ],
)
def test_targets_that_cannot_be_compared(result: Json, targets: list[str], words: str) -> None:
    with pytest.raises(UsageError) as error:
        _compared(result, *targets)
    assert words in str(error.value)


def test_pairs_that_were_lost_are_said(result: Json) -> None:
    fail(_trials(result, POOL)[0], "error-share", "too many errors")
    fail(_trials(result, BASE)[7], "generator-bound", "no time left")
    comparison = _compared(result)
    assert _line(comparison, THROUGHPUT).judgement.n == 18
    assert comparison.notes == [
        "keep-alive, connections 16: 18 of 20 pairs of thread-per-connection and worker-pool are "
        "valid: 1 x thread-per-connection invalid (generator-bound), 1 x worker-pool invalid "
        "(error-share)"
    ]
    assert comparison.faults == []


def test_a_run_that_was_interrupted_says_so(result: Json) -> None:
    del result["trials"][100:]
    comparison = _compared(result)
    assert comparison.notes[0] == "the run is not at its end: 100 of 120 trials are there"
    assert any("not run" in note for note in comparison.notes[1:])


def test_too_few_pairs_tell_nothing(result: Json) -> None:
    for trial in _trials(result, POOL)[5:]:
        fail(trial, "error-share", "too many errors")
    comparison = _compared(result)
    judged = _line(comparison, THROUGHPUT).judgement
    assert (judged.verdict, judged.n) == (Verdict.INCONCLUSIVE, 5)
    assert judged.reason == "5 pairs: an interval needs 6"
    assert (comparison.status(strict=False), comparison.status(strict=True)) == (0, 3)


def test_a_place_without_a_pair_is_a_fault_and_not_a_pass(result: Json) -> None:
    for trial in _trials(result, POOL):
        fail(trial, "target-died", "it died")
    comparison = _compared(result)
    (fault,) = comparison.faults
    assert fault.startswith("keep-alive, connections 16: 0 of 20 pairs of")
    assert fault.endswith("20 x worker-pool invalid (target-died)")
    assert comparison.status(strict=False) == 2
    assert _line(comparison, THROUGHPUT).word == "cannot tell"
    assert _line(comparison, THROUGHPUT, "churn, connections 16").word == "faster"


def test_an_exact_metric_that_varies_is_a_fault(result: Json) -> None:
    _set(_trials(result, POOL)[3], PER_REQUEST, 0.5)
    comparison = _compared(result)
    assert comparison.faults == [
        "keep-alive, connections 16: server.allocations.per_request of worker-pool varies between "
        "trials, 0 to 0.5, though it is gated as exact"
    ]
    assert comparison.status(strict=False) == 2
    assert _line(comparison, PER_REQUEST).word == "cannot tell"
    # A tolerance that allows it, or a metric that is not gated, is none.
    allowed: Json = {"path": PER_REQUEST, "gate": "exact", "margin": 1.0}
    for how in (allowed, {"path": PER_REQUEST, "gate": "shown"}):
        result["suite"]["metrics"] = [how]
        assert _compared(result).faults == []


def test_a_fault_is_told_once_for_all_comparisons_of_a_target() -> None:
    result = example_result(
        {"worker-pool": 1e5, "thread-per-connection": 1e5, "nginx": 2e5}, "peers"
    )
    base = result["suite"]["targets"][0]["name"]
    (first, *_) = (t for t in result["trials"] if t["target"] == base)
    _set(first, PER_REQUEST, 77.0)
    assert len(_compared(result).faults) == 1


def test_what_one_side_lacks_cannot_be_told(result: Json) -> None:
    for trial in _trials(result, POOL):
        _set(trial, PER_REQUEST, None)
        trial["unmeasured"][PER_REQUEST] = "a static binary"
    judged = _line(_compared(result), PER_REQUEST).judgement
    assert judged.verdict == Verdict.INCONCLUSIVE
    assert judged.reason == "not known of worker-pool: a static binary"


def test_what_nobody_has_is_a_line_only_where_the_suite_asks_for_it(result: Json) -> None:
    path = "server.instructions_per_request"
    assert not any(line.metric.path == path for line in _compared(result).lines)
    result["suite"]["metrics"] = [{"path": path, "gate": "exact"}]
    judged = _line(_compared(result), path).judgement
    assert judged.reason == "not known of thread-per-connection: not asked for in this trial"


def test_zero_has_no_logarithm(result: Json) -> None:
    for trial in _trials(result, POOL):
        _set(trial, CPU, 0.0)
        _set(trial, "load.latency_us.p99", 0)
    comparison = _compared(result)
    for path in (CPU, "load.latency_us.p99"):
        judged = _line(comparison, path).judgement
        assert (judged.ratio, judged.reason) == (None, "a value of 0 has no logarithm")
    assert _line(comparison, CPU).word == "cannot tell"


def test_an_open_loop_is_judged_by_its_latency() -> None:
    # Its throughput is the rate that was offered.
    result = example_result(suite_name="rate-sweep", blocks=20)
    line = next(li for li in _compared(result).lines if li.metric.path == "load.latency_us.p50")
    assert line.gate.kind == "noisy" and line.judgement.verdict is not None
