"""What changed from run to run, over histories made from whole results."""
import copy
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy
import pytest
from scipy.stats import binom, ttest_ind

from spawnpool.cli import main
from spawnpool.documents import Json
from spawnpool.errors import UsageError
from spawnpool.history import append, history_line
from spawnpool.metrics import METRICS, Gate, noisy
from spawnpool.results import write_result
from spawnpool.statistics import Array
from spawnpool.testing import example_result
from spawnpool.trend import ALPHA, Finding, Series, judge, trend

THROUGHPUT, CPU = "load.throughput_rps", "server.cpu_us_per_request"
ALLOCATIONS = "server.allocations.per_request"


@pytest.fixture(name="line", scope="module")
def _line() -> Json:
    return history_line(Path("result.json"), example_result())


def _history(line: Json, runs: int, **changes: Any) -> list[Json]:
    """Runs a day apart, of other revisions; sampled metrics with a noise of 3 %."""
    draw = numpy.random.default_rng(7)
    lines = []
    for index in range(runs):
        run = copy.deepcopy(line)
        run["date"] = f"2026-{index // 28 + 1:02}-{index % 28 + 1:02}T12:00:00.000Z"
        run["revision"] = f"{index:040x}"
        for series in run["series"]:
            for path in (THROUGHPUT, CPU):
                series["metrics"][path]["median"] *= draw.normal(1, 0.03)
        run.update(changes)
        lines.append(run)
    return lines


def _metric(run: Json, path: str, target: str = "worker-pool") -> Json:
    """Of the first scenario and point."""
    told: Json = next(s for s in run["series"] if s["target"] == target)["metrics"][path]
    return told


def _gated_series(line: Json, *kinds: str) -> int:
    """How many series the suite gates, of these kinds or of all."""
    gated = {metric.path for metric in METRICS if metric.gate.kind in (kinds or ("noisy", "exact"))}
    return sum(len(gated & set(series["metrics"])) for series in line["series"])


def _told(lines: list[Json], file: Path, *metrics: str) -> tuple[int, str]:
    """Status and output of `trend`."""
    append(file, [json.dumps(line) for line in lines])
    text = io.StringIO()
    return trend(file, metrics or None, text), text.getvalue()


def _rows(text: str, *words: str) -> list[str]:
    return [line for line in text.splitlines() if all(word in line for word in words)]


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    return tmp_path / "history.jsonl"


def test_where_nothing_changed_every_series_says_so(line: Json, file: Path) -> None:
    status, text = _told(_history(line, 40), file)
    assert status == 0
    assert "quick: 40 runs, 2026-01-01 to 2026-02-12, on example, CPU model unknown" in text
    count = _gated_series(line)
    assert len(_rows(text, "no change")) == count > 0
    assert f"0 of {count} series changed, 0 of them for the worse\n" in text


def test_a_step_for_the_worse_names_run_size_and_interval(line: Json, file: Path) -> None:
    lines = _history(line, 40)
    for run in lines[20:]:
        _metric(run, THROUGHPUT)["median"] *= 0.9
    status, text = _told(lines, file)
    assert status == 1
    (row,) = _rows(text, "worse", "keep-alive")
    assert row.split()[:2] == ["worker-pool/keep-alive/connections:16", "throughput,"]
    assert f"{20:040x}"[:10] in row and "2026-01-21 12:00" in row
    values = [
        [_metric(run, THROUGHPUT)["median"] for run in part] for part in (lines[:20], lines[20:])
    ]
    before, after = (numpy.log(part) for part in values)
    ratio = math.exp(after.mean() - before.mean())
    assert f"{ratio:.3f}" in row and ratio == pytest.approx(0.9, abs=0.02)
    assert f"{numpy.median(values[0]):,.0f}" in row and f"{numpy.median(values[1]):,.0f}" in row
    # The interval's ends are where Welch's test by SciPy has a p-value of 5 %.
    low, high = (float(word) for word in (row.split()[-5], row.split()[-3]))
    for end in (low, high):
        p = ttest_ind(after - math.log(end), before, equal_var=False).pvalue
        assert p == pytest.approx(0.05, abs=0.01)
    assert f"1 of {_gated_series(line)} series changed, 1 of them for the worse\n" in text


def test_a_step_for_the_better_is_no_fault(line: Json, file: Path) -> None:
    lines = _history(line, 40)
    for run in lines[30:]:
        _metric(run, THROUGHPUT)["median"] *= 1.15
        _metric(run, CPU)["median"] *= 0.85
    status, text = _told(lines, file)
    assert status == 0 and len(_rows(text, "better")) == 2


def test_the_newest_change_counts(line: Json, file: Path) -> None:
    lines = _history(line, 45)
    for run in lines[15:30]:
        _metric(run, CPU)["median"] *= 1.2
    status, text = _told(lines, file)
    rows = _rows(text, "CPU time", "worker-pool/keep-alive/connections:16")
    assert [row.split()[-1] for row in rows] == ["worse", "better"]
    assert [row.split()[-2] for row in rows] == ["15", "15"]  # runs that each level lasted
    assert status == 0


def test_less_than_the_margin_is_told_and_no_fault(line: Json, file: Path) -> None:
    lines = _history(line, 60)
    draw = numpy.random.default_rng(1)
    for index, run in enumerate(lines):
        _metric(run, CPU)["median"] = (5.1 if index >= 30 else 5.0) * draw.normal(1, 0.002)
    status, text = _told(lines, file)
    (row,) = _rows(text, "within the margin")
    assert "1.02" in row and status == 0


def test_a_counted_metric_needs_no_test(line: Json, file: Path) -> None:
    lines = _history(line, 4)
    for run in lines[3:]:
        _metric(run, ALLOCATIONS)["median"] = 3.0
        _metric(run, ALLOCATIONS, "thread-per-connection")["median"] = 1.0
    status, text = _told(lines, file)
    (worse,) = _rows(text, "worker-pool/keep-alive/connections:16", "allocations/request")
    (better,) = _rows(
        text, "thread-per-connection/keep-alive/connections:16", "allocations/request"
    )
    assert worse.split()[-5:] == ["3", "–", "–", "1", "worse"]  # 0 has no ratio
    assert better.split()[-5:] == ["1", "0.500", "–", "1", "better"]
    assert status == 1
    sampled = _gated_series(line, "noisy")
    assert len(_rows(text, "4 of the ", " runs that a test needs")) == sampled > 0
    assert f"{sampled} have too few runs" in text


def test_runs_are_taken_by_their_date(line: Json, file: Path) -> None:
    lines = _history(line, 30)
    for run in lines[15:]:
        _metric(run, CPU)["median"] *= 1.3
    _, text = _told(lines, file)
    _, shuffled = _told(lines[::2] + lines[1::2], file.with_name("other.jsonl"))
    assert shuffled == text


def test_only_what_compares_is_in_a_series_and_the_rest_is_counted(line: Json, file: Path) -> None:
    lines = _history(line, 20)
    for run in lines[:3]:
        run["machine"] = {"hostname": "elsewhere", "cpu_model": "another"}
        _metric(run, ALLOCATIONS)["median"] = 9.0
    lines[3]["suite"] = {**line["suite"], "sha256": "f" * 64}
    _metric(lines[3], ALLOCATIONS)["median"] = 9.0
    status, text = _told([*lines, lines[10]], file)
    assert status == 0 and "quick: 16 runs, " in text
    assert "quick: left out: 3 runs of another machine\n" in text
    assert "quick: left out: 1 run of the suite with other targets, loads or options\n" in text
    assert "counted once: 1 line with a run that another has\n" in text


def test_each_suite_has_a_table_of_its_own(line: Json, file: Path) -> None:
    other = {**line["suite"], "name": "other"}
    status, text = _told([*_history(line, 3), *_history(line, 2, suite=other, seed=2)], file)
    assert status == 0 and "quick: 3 runs" in text and "other: 2 runs" in text


def test_a_run_without_the_metric_is_not_in_its_series(line: Json, file: Path) -> None:
    lines = _history(line, 12)
    _metric(lines[4], CPU).update(median=None, n=0, reason="no /proc")
    _, text = _told(lines, file, CPU)
    assert _rows(text, "worker-pool/keep-alive/connections:16")[0].split()[-9] == "11"


def test_the_metrics_asked_for_or_those_of_the_suite(line: Json, file: Path) -> None:
    lines = _history(line, 3)
    _, text = _told(lines, file, "load.latency_us.p99")
    assert len(_rows(text, "latency p99, µs")) == 6 and not _rows(text, "throughput")
    lines[-1]["date"] = "2027-01-01T00:00:00.000Z"
    gated = {"path": "load.latency_us.p50", "gate": "noisy", "margin": 0.1}
    lines[-1]["suite"]["metrics"] = [gated]
    _, text = _told(lines[-1:], file)
    assert len(_rows(text, "latency p50, µs")) == 6


@pytest.mark.parametrize(
    "metric, complaint",
    [
        ("load.throughput", "unknown metric 'load.throughput': did you mean 'load.throughput_rps'"),
        ("load.offered_rps", "metric 'load.offered_rps' tells the load, nothing is better there"),
    ],
)
def test_a_metric_that_cannot_be_judged_is_one_line(
    metric: str, complaint: str, line: Json, file: Path
) -> None:
    with pytest.raises(UsageError, match=complaint):
        _told([line], file, metric)


def test_a_suite_that_asks_for_an_unknown_metric_is_named(line: Json, file: Path) -> None:
    line = copy.deepcopy(line)
    line["suite"]["metrics"] = [{"path": "load.magic", "gate": "shown"}]
    with pytest.raises(UsageError, match="history.jsonl: the run of 2026-01-01.*'load.magic'"):
        _told([line], file)


def _simulated(seed: int, series: int, step: float) -> list[Finding]:
    """A suite's sampled series over 20 and 20 runs with a noise of 3 %; the first has the step."""
    draw = numpy.random.default_rng(seed)
    (metric,) = (metric for metric in METRICS if metric.path == THROUGHPUT)
    values: list[Array] = [1000 * draw.normal(1, 0.03, 40) for _ in range(series)]
    values[0][20:] *= step
    runs: list[Json] = [{"index": index} for index in range(40)]
    return judge([Series("", metric, _GATE, runs, each) for each in values])


_GATE: Gate = noisy(0.0)


def test_histories_without_a_change_rarely_show_one() -> None:
    """Over all series of a suite together, and counting changes within the margin as well."""
    histories = 150
    alarms = sum(
        any(finding.changes for finding in _simulated(seed, 6, 1.0)) for seed in range(histories)
    )
    assert alarms <= binom.ppf(0.999, histories, ALPHA)


def test_a_loss_of_ten_percent_is_found_among_other_series() -> None:
    alarms = 0
    for seed in range(12):
        first, *others = _simulated(seed, 6, 0.9)
        (change,) = (it for it in first.changes if abs(it.since["index"] - 20) <= 3)
        assert change.kind == "worse"
        assert change.ratio is not None and change.interval is not None
        assert change.interval[0] < change.ratio < change.interval[1] < 1
        alarms += len(first.changes) > 1 or any(other.changes for other in others)
    assert alarms <= binom.ppf(0.999, 12, 2 * ALPHA)


def test_the_commands(line: Json, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = file.with_name("result.json")
    write_result(result, example_result())
    assert main(["history", str(result), "--out", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}\n"
    assert main(["trend", str(file)]) == 0
    assert "1 of the " in capsys.readouterr().out
    lines = _history(line, 2)
    _metric(lines[1], ALLOCATIONS)["median"] = 5.0
    status, _ = _told(lines, file)
    assert status == main(["trend", str(file), "--metric", ALLOCATIONS]) == 1
    file.write_text("")
    assert main(["trend", str(file)]) == 2
    assert f"{file} has no run: " in capsys.readouterr().err
    assert main(["trend", str(file.with_name("none"))]) == 2
    assert "'spawnpool history RESULT' makes a history" in capsys.readouterr().err
