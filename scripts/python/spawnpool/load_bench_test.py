"""The benchmarks of the load generator run, in small, and tell which goals were missed."""
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from spawnpool import paths
from spawnpool.documents import Json
from spawnpool.load_bench import Settings, accuracy, throughput
from spawnpool.load_bench_tables import missed_goals, print_bench
from spawnpool.load_truth import QUANTILES, Design
from spawnpool.local_server import cpus_apart

SCRIPT = paths.ROOT / "scripts" / "load_bench.py"
BOUND_S = 300.0
SMALL = ["--pairs", "1", "--runs", "1", "--seconds", "1", "--connections", "4"]
SMALL += ["--memory-connections", "40,20,80"]


def _run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(SCRIPT), *arguments], capture_output=True, text=True, timeout=BOUND_S
    )


def _tables(result: Json) -> str:
    file = io.StringIO()
    print_bench(result, file)
    return file.getvalue()


def test_the_benchmarks_run_and_their_status_is_that_of_the_goals(tmp_path: Path) -> None:
    if cpus_apart() is None:
        pytest.skip("one CPU: server and generator need one each to be told apart")
    out = tmp_path / "result.json"
    done = _run(*SMALL, "--only", "open-loop,memory", "--out", str(out))
    assert done.returncode in (0, 1), done.stderr
    result = json.loads(out.read_text())
    missed = missed_goals(result)
    assert done.returncode == (1 if missed else 0)
    assert done.stdout.count("MISSED") == len(missed) == done.stderr.count("missed: ")
    assert result["throughput"] is None and result["accuracy"] is None
    assert [entry["pipeline"] for entry in result["ceiling"]] == [1, 16], "whatever else is"
    for entry in result["open_loop"]:
        assert entry["median"]["wait_p99_us"] >= 0 and entry["runs"][0]["valid"] in (True, False)
    assert [(step["from"], step["to"]) for step in result["memory"]["steps"]] == [
        (20, 40),
        (40, 80),
    ]


def test_pairs_tell_both_generators_throughput() -> None:
    cpus = cpus_apart()
    if cpus is None:
        pytest.skip("one CPU: server and generator need one each to be told apart")
    (entry, *_) = throughput(Settings(1, 1, 1, 1, (4,), (20, 40), 1, cpus))
    assert entry["server"] == "answerer" and len(entry["pairs"]) == 1
    assert min(entry["wrk_rps"], entry["spawnpool_load_rps"]) > 0
    assert "answerer, 4" in _tables(_result(throughput=[entry]))


def test_accuracy_has_the_closed_loops_error_for_a_server_that_is_stopped() -> None:
    cpus = cpus_apart()
    if cpus is None:
        pytest.skip("one CPU: server and generator need one each to be told apart")
    settings = Settings(1, 1, 1, 1, (4,), (20, 40), 1, cpus)
    design = Design("stopped", (), 200, "uniform", 0.6, 8, frozen_s=0.2)
    (entry,) = accuracy(settings, [design])
    assert set(entry["closed_loop_us"]) == {"spawnpool-load", "wrk"}
    for latency_us in entry["closed_loop_us"].values():
        assert latency_us["max"] >= 150_000
    assert "closed loop, wrk" in _tables(_result(accuracy=[entry]))


@pytest.mark.parametrize("arguments", [("--only", "speed"), ("--memory-connections", "5,5")])
def test_a_mistake_is_one(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = _run(*arguments, "--out", str(tmp_path / "result.json"))
    assert done.returncode == 2 and done.stderr.splitlines()[-1].startswith("load_bench.py: ")


def _result(**sections: Any) -> Json:
    nothing = dict.fromkeys(("throughput", "ceiling", "open_loop", "memory", "accuracy"))
    return {"steal_share": 0.0, **nothing, **sections}


def _open_loop(**medians: float) -> Json:
    names = (
        "throughput_rps lag_p50_us lag_p99_us lag_max_us wait_p99_us latency_p50_us latency_p99_us"
    )
    return {
        "rate_rps": 10_000,
        "median": {**dict.fromkeys(names.split(), 1.0), **medians},
        "runs": [{}],
    }


def _accuracy(within: Any) -> Json:
    values = None if within is None else dict.fromkeys(QUANTILES, 200_000.0)
    closed = {"wrk": dict.fromkeys(QUANTILES, 50_000.0)}
    return {
        "design": {"name": "one"},
        "runs": [],
        "excluded_away_us": [9.0],
        "truth_us": values,
        "measured_us": values,
        "within": within,
        "closed_loop_us": closed,
    }


@pytest.mark.parametrize(
    "sections, missed",
    [
        ({"open_loop": [_open_loop()]}, []),
        ({"open_loop": [_open_loop(lag_p99_us=101)]}, ["open loop at 10000 requests/s"]),
        # What waits after a stall is late as well.
        ({"open_loop": [_open_loop(wait_p99_us=101)]}, ["open loop at 10000 requests/s"]),
        ({"accuracy": [_accuracy(dict.fromkeys(QUANTILES, True))]}, []),
        ({"accuracy": [_accuracy({"p50": True, "p99": False})]}, ["accuracy, one"]),
        ({"accuracy": [_accuracy(None)]}, ["accuracy, one, too few undisturbed runs"]),
        (
            {
                "memory": {
                    "reason": None,
                    "steps": [
                        {"from": 1, "to": 2, "bytes_per_connection": 2048.0},
                        {"from": 2, "to": 3, "bytes_per_connection": 2049.0},
                    ],
                }
            },
            ["memory between 2 and 3 connections"],
        ),
        ({"memory": {"reason": "no descriptors", "steps": None}}, ["memory: no descriptors"]),
    ],
)
def test_a_missed_goal_is_told(sections: Json, missed: list[str]) -> None:
    result = _result(**sections)
    assert missed_goals(result) == missed
    assert _tables(result).count("MISSED") == len(missed)


def test_a_closed_loops_error_is_told() -> None:
    tables = _tables(_result(accuracy=[_accuracy(dict.fromkeys(QUANTILES, True))]))
    (line,) = (line for line in tables.splitlines() if "its error" in line)
    assert line.split() == ["its", "error"] + ["-150.00"] * len(QUANTILES)
