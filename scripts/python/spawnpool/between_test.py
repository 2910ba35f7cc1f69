import copy
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from spawnpool.between import Run, between
from spawnpool.comparison import Comparison, Line
from spawnpool.documents import Json
from spawnpool.errors import UsageError
from spawnpool.summary import summarize
from spawnpool.testing import example_result, fail

BASE, POOL = "thread-per-connection", "worker-pool"
THROUGHPUT = "load.throughput_rps"
PER_REQUEST = "server.allocations.per_request"


def _run(name: str, seed: int, pool: float = 160_000.0) -> Run:
    """A run of `quick` on a day on which all is up to some percent slower or faster."""
    mood = random.Random(seed).lognormvariate(0, 0.01)
    result = example_result({BASE: 150_000.0 * mood, POOL: pool * mood})
    result["suite"]["seed"] = seed
    return Run(Path(name), result)


def _runs(pool: float = 160_000.0) -> tuple[Run, list[Run]]:
    return _run("new.json", 9, pool), [_run(f"old-{i}.json", i) for i in range(6)]


def _compared(run: Run, bases: list[Run], *targets: str) -> Comparison:
    for each in [run, *bases]:
        each.result["summary"] = summarize(each.result["suite"], each.result["trials"])
    return between(run, bases, targets or None)


def _line(comparison: Comparison, path: str, target: str = POOL) -> Line:
    return next(
        line
        for line in comparison.lines
        if (line.metric.path, line.target, line.place)
        == (path, target, "keep-alive, connections 16")
    )


def _set_allocations(run: Run, value: float, target: str = POOL) -> None:
    for trial in run.result["trials"]:
        if trial["target"] == target:
            trial["server"]["allocations"]["per_request"] = value


def test_a_slower_server_is_found_among_runs_that_differ() -> None:
    comparison = _compared(*_runs(pool=100_000.0))
    line = _line(comparison, THROUGHPUT)
    assert (line.base, line.target, line.word, line.judgement.n) == (POOL, POOL, "slower", 6)
    assert line.judgement.ratio == pytest.approx(100 / 160, rel=0.05)
    assert _line(comparison, THROUGHPUT, BASE).word == "equivalent"
    assert comparison.status(strict=False) == 1
    assert [str(path) for path in comparison.bases] == [f"old-{i}.json" for i in range(6)]


def test_one_run_of_the_base_gates_counts_and_nothing_sampled() -> None:
    run, bases = _runs(pool=100_000.0)
    comparison = _compared(run, bases[:1])
    judged = _line(comparison, THROUGHPUT).judgement
    assert judged.ratio is not None and judged.interval is None
    assert judged.reason is not None and judged.reason.startswith("one run of the base does not")
    assert (comparison.status(strict=False), comparison.status(strict=True)) == (0, 3)
    _set_allocations(run, 1.0)
    assert _line(_compared(run, bases[:1]), PER_REQUEST).word == "worse"
    assert _compared(run, bases[:1]).status(strict=True) == 1


def test_runs_that_do_not_differ_tell_nothing() -> None:
    run, _ = _runs()
    bases = [_run("old-a.json", 1), _run("old-b.json", 1)]
    bases[1].result["suite"]["seed"] = 2
    judged = _line(_compared(run, bases), THROUGHPUT).judgement
    assert (judged.interval, judged.n) == (None, 2)
    assert judged.reason is not None and "do not differ at all" in judged.reason


def test_targets_are_chosen_and_those_not_in_common_are_said() -> None:
    run, bases = _runs()
    assert {line.target for line in _compared(run, bases, POOL).lines} == {POOL}
    suite = bases[2].result["suite"]
    suite["targets"] = suite["targets"][1:]
    kept = [trial for trial in bases[2].result["trials"] if trial["target"] == POOL]
    bases[2].result["trials"] = kept
    comparison = _compared(run, bases)
    assert {line.target for line in comparison.lines} == {POOL}
    assert comparison.notes[0] == f"{BASE} is not compared: old-2.json has no such target"
    with pytest.raises(UsageError, match="no target in common with the runs of the base"):
        _compared(run, bases, BASE)
    with pytest.raises(UsageError, match="unknown target 'nginx'"):
        _compared(run, bases, "nginx")


def test_a_count_that_varies_between_runs_of_the_base_is_a_fault() -> None:
    run, bases = _runs()
    _set_allocations(bases[1], 1.0)
    comparison = _compared(run, bases)
    assert len(comparison.faults) == 3  # one for each point
    assert "per_request of worker-pool in the base varies between trials, 0 to 1" in (
        comparison.faults[0]
    )


def test_lost_trials_are_said_and_a_run_without_any_is_a_fault() -> None:
    run, bases = _runs()
    fail(bases[0].result["trials"][0], "error-share", "too many errors")
    del bases[3].result["trials"][30:]
    comparison = _compared(run, bases)
    assert comparison.faults == []
    assert "old-3.json: the run is not at its end: 30 of 36 trials are there" in comparison.notes
    assert any("old-0.json" in note and "1 invalid" in note for note in comparison.notes)
    for trial in run.result["trials"]:
        fail(trial, "target-died", "it died")
    faulty = _compared(run, bases)
    assert all(fault.startswith("new.json: ") for fault in faulty.faults)
    assert len(faulty.faults) == 6 and faulty.status(strict=False) == 2


def test_what_one_side_lacks_is_named() -> None:
    run, bases = _runs()
    for base in bases:
        for trial in base.result["trials"]:
            trial["server"]["allocations"]["per_request"] = None
            trial["unmeasured"][PER_REQUEST] = "no accounting pass"
    judged = _line(_compared(run, bases), PER_REQUEST).judgement
    assert judged.reason == "not known of worker-pool in the base: no accounting pass"


Change = Callable[[Json], None]


def _put(part: str, key: str, value: object) -> Change:
    def change(result: Json) -> None:
        result[part][key] = value

    return change


def _context(key: str, value: object) -> Change:
    return _put("context", key, value)


def _suite(key: str, value: object) -> Change:
    return _put("suite", key, value)


def _binary(name: str) -> Change:
    def change(result: Json) -> None:
        result["context"]["binaries"][name] = "9" * 64

    return change


def _other_point(result: Json) -> None:
    result["suite"]["scenarios"][0]["points"][0] = {"connections": 17}


def _other_options(result: Json) -> None:
    result["suite"]["targets"][1]["options"] = ["--workers", "8"]


@pytest.mark.parametrize(
    "change, words",
    [
        (_context("hostname", "b"), "are of different machines: hostname is example and b; run"),
        (_context("kernel", "Linux 7"), "different machines: kernel is "),
        (_context("cpu_model", "Z80"), "different machines: cpu_model is None and Z80"),
        (_context("affinity", [0]), "different machines: affinity is [0, 1] and [0]"),
        (_suite("duration", "2s"), "are of different suites: 'duration' differs"),
        (_suite("driver", "wrk"), "are of different suites: 'driver' differs"),
        (_suite("cpus", {"server": [0], "generator": [1]}), "different suites: 'cpus' differs"),
        (_other_point, "are of different suites: 'scenarios' differs"),
        (_other_options, "start the target 'worker-pool' differently"),
        (_binary("spawnpool-load"), "were measured by different builds of spawnpool-load"),
        (_binary("spawnpool-trial"), "were measured by different builds of spawnpool-trial"),
    ],
)
def test_what_has_to_be_the_same(change: Change, words: str) -> None:
    run, bases = _runs()
    change(bases[4].result)
    with pytest.raises(UsageError) as error:
        between(run, bases)
    assert str(error.value).startswith("new.json and old-4.json ") and words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["spawnpool-server", "spawnpool-micro", "peer-nginx"])
def test_servers_may_differ(name: str) -> None:
    run, bases = _runs()
    for each in [run, *bases]:
        each.result["context"]["binaries"][name] = "1" * 64
    _binary(name)(run.result)
    assert _line(_compared(run, bases), THROUGHPUT).word == "equivalent"


def test_wrk_has_to_be_the_same_where_it_made_the_load() -> None:
    run, bases = _runs()
    run.result["context"]["versions"]["wrk"] = "4.2"
    assert _line(_compared(run, bases), THROUGHPUT).word == "equivalent"
    for each in [run, *bases]:
        each.result["suite"]["driver"] = "wrk"
    with pytest.raises(UsageError, match="different versions of wrk"):
        between(run, bases)


def test_fractions_of_a_saturation_differ_from_run_to_run() -> None:
    sweep = example_result(suite_name="rate-sweep")
    other = copy.deepcopy(sweep)
    with pytest.raises(UsageError, match="fractions of what each run measured as saturation"):
        between(Run(Path("a.json"), sweep), [Run(Path("b.json"), other)])


def test_a_run_is_given_once() -> None:
    run, bases = _runs()
    with pytest.raises(UsageError, match="old-1.json and old-1.json are the same run"):
        between(run, [*bases, bases[1]])
    with pytest.raises(UsageError, match="new.json and new.json are the same run"):
        between(run, [run])
