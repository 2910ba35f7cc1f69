"""Exports, read back by the tools they are for (or by their libraries)."""
import csv
import io
import json
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from spawnpool.cli import main
from spawnpool.command_line import EXPORT_FORMATS
from spawnpool.documents import Json, parse_json
from spawnpool.export import CSV_COLUMNS, FORMATS
from spawnpool.load import point_name
from spawnpool.metrics import METRICS
from spawnpool.paths import ROOT
from spawnpool.results import write_result
from spawnpool.summary import summarize
from spawnpool.testing import example_result, fail

COMPARE = Path("/usr/share/benchmark/compare.py")  # of libbenchmark-tools
ODD = 'a "b"\\c\n{d,e}/µ;'
JSON_FORMATS = [name for name in EXPORT_FORMATS if name not in ("csv", "prometheus")]


@pytest.fixture(name="export")
def _export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    """Exports a result to a file, as the command does; gives the text and what was said on stderr."""

    def call(result: Json, name: str, file: str = "exported") -> tuple[str, str]:
        source, out = tmp_path / "result.json", tmp_path / file
        write_result(source, result)
        assert main(["export", str(source), "--format", name, "--out", str(out)]) == 0
        captured = capsys.readouterr()
        assert captured.out == ""
        return out.read_bytes().decode(), captured.err

    return call


Export = Callable[..., tuple[str, str]]


def _compare(mode: str, file: Path, *words: str | Path) -> Json:
    """What Google Benchmark's tool makes of files, by the names of benchmarks."""
    out = file.with_suffix(".report")
    flags = ["--no-color", "--dump_to_json", out]
    command = [str(word) for word in (sys.executable, COMPARE, *flags, mode, file, *words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return {entry["name"]: entry for entry in json.loads(out.read_text())}


def _by_hand(result: Json, target: str, scenario: str, connections: int) -> list[float]:
    """The throughputs of the valid trials."""
    return [
        trial["load"]["throughput_rps"]
        for trial in result["trials"]
        if (trial["target"], trial["scenario"], trial["status"]) == (target, scenario, "valid")
        and trial["point"]["connections"] == connections
    ]


def test_the_command_line_names_the_formats_there_are() -> None:
    assert EXPORT_FORMATS == tuple(FORMATS)


def test_compare_py_reads_two_revisions(export: Export, tmp_path: Path) -> None:
    rates = {"thread-per-connection": 150_000.0, "worker-pool": 165_000.0}
    base, head = example_result(rates), example_result({k: 2 * v for k, v in rates.items()})
    export(base, "google-benchmark", "base.json")
    export(head, "google-benchmark", "head.json")
    told = _compare("benchmarks", tmp_path / "base.json", tmp_path / "head.json")
    entry = told["worker-pool/churn/connections:16/load.throughput_rps"]
    pairs = [(m["real_time"], m["real_time_other"]) for m in entry["measurements"]]
    assert sorted(a for a, _ in pairs) == sorted(_by_hand(base, "worker-pool", "churn", 16))
    assert sorted(b for _, b in pairs) == sorted(_by_hand(head, "worker-pool", "churn", 16))
    assert entry["label"] == "requests/s, higher is better"
    assert entry["utest"]["nr_of_repetitions"] == 6 and entry["utest"]["time_pvalue"] < 0.01
    latency = told["worker-pool/keep-alive/connections:64/load.latency_us.p50"]
    assert latency["time_unit"] == "us" and latency["run_type"] == "iteration"
    # Both points of keep-alive and that of churn, for both targets; all repetitions in one entry.
    assert len(told) == len(set(told)) == 6 * len(_names(base, "worker-pool/churn"))


def _names(result: Json, prefix: str) -> set[str]:
    text, _ = FORMATS["google-benchmark"](result)
    names = {row["name"] for row in json.loads(text)["benchmarks"]}
    return {name for name in names if name.startswith(prefix)}


def test_compare_py_reads_two_targets_of_one_result(export: Export, tmp_path: Path) -> None:
    result = example_result()
    export(result, "google-benchmark")
    told = _compare("filters", tmp_path / "exported", "^thread-per-connection", "^worker-pool")
    (entry,) = (
        v for k, v in told.items() if k.endswith("churn/connections:16/load.throughput_rps")
    )
    pairs = [(m["real_time"], m["real_time_other"]) for m in entry["measurements"]]
    of_trials = {
        (t["target"], t["block"], t["position"] // 2): t["load"]["throughput_rps"]
        for t in result["trials"]
        if t["scenario"] == "churn"
    }
    rounds = [(block, half) for block in range(3) for half in range(2)]
    names = ("thread-per-connection", "worker-pool")
    assert pairs == [tuple(of_trials[name, *at] for name in names) for at in rounds]


def test_micro_benchmarks_stay_as_google_benchmark_told_them(
    export: Export, tmp_path: Path
) -> None:
    result = example_result(suite_name="signature")
    broken, uncounted = result["micro"][0], result["micro"][1]
    numbers = ("iterations", "real_time", "cpu_time", "allocs_per_iter", "max_bytes_used")
    for key in numbers:
        broken[key], broken["unmeasured"][key] = None, "it failed"
    broken.update(error_occurred=True, error_message="it failed")
    uncounted["allocs_per_iter"] = None
    uncounted["unmeasured"]["allocs_per_iter"] = "this build does not count allocations"
    text, said = export(result, "google-benchmark")
    rows = [row for row in json.loads(text)["benchmarks"] if "family_index" in row]
    assert len(rows) == len(result["micro"]) - 1
    for row, run in zip(rows, result["micro"][1:], strict=True):
        assert row == {k: v for k, v in run.items() if v is not None and k != "unmeasured"}
    assert said.startswith("spawnpool: left out: values not measured: 1; trials not valid: 0")
    told = _compare("benchmarks", tmp_path / "exported", tmp_path / "exported")
    assert len(told["route/miss"]["measurements"]) == result["suite"]["micro"]["repetitions"] - 1


@pytest.mark.parametrize("name, better", [("smaller", "lower"), ("bigger", "higher")])
def test_github_action_benchmark_gets_what_is_better_on_one_side(
    name: str, better: str, export: Export
) -> None:
    result = example_result()
    text, said = export(result, f"custom-{name}-is-better")
    rows = json.loads(text)
    assert said == "" and rows
    assert {row["name"].rpartition("/")[2] for row in rows} <= {
        metric.path for metric in METRICS if metric.better == better
    }
    for row in rows:
        assert set(row) == {"name", "unit", "value", "range", "extra"}
        assert isinstance(row["value"], (int, float)) and isinstance(row["range"], str)
    assert len({row["name"] for row in rows}) == len(rows)
    if better == "higher":
        values = _by_hand(result, "worker-pool", "keep-alive", 64)
        (row,) = (
            row
            for row in rows
            if row["name"] == "worker-pool/keep-alive/connections:64/load.throughput_rps"
        )
        assert row["value"] == statistics.median(values) and row["unit"] == "requests/s"
        assert row["range"] == f"{min(values)} to {max(values)}"


def test_bencher_metric_format(export: Export) -> None:
    result = example_result()
    benchmarks = json.loads(export(result, "bencher")[0])
    assert list(benchmarks) == [
        f"{target}/{place}"
        for place in (
            "keep-alive/connections:16",
            "keep-alive/connections:64",
            "churn/connections:16",
        )
        for target in ("thread-per-connection", "worker-pool")
    ]
    for measures in benchmarks.values():
        for measure, told in measures.items():
            assert len(measure) <= 64  # Bencher's limit for a measure's name
            assert told["lower_value"] <= told["value"] <= told["upper_value"]
    values = _by_hand(result, "worker-pool", "churn", 16)
    assert benchmarks["worker-pool/churn/connections:16"]["load.throughput_rps"] == {
        "value": statistics.median(values),
        "lower_value": min(values),
        "upper_value": max(values),
    }


def test_csv_has_every_trial_with_its_nulls_and_their_reasons(export: Export) -> None:
    result = example_result()
    fail(result["trials"][0], "error-share", "too many errors")
    for trial in result["trials"][:2]:
        trial["load"]["latency_us"]["p50"] = None
        trial["unmeasured"]["load.latency_us.p50"] = 'no "histogram",\nno quantile'
    text, said = export(result, "csv")
    assert said == ""
    assert text.count("\r\n") == text.count("\n") - 2  # but for those in two quoted fields
    header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert tuple(header) == CSV_COLUMNS
    assert {len(row) for row in rows} == {len(CSV_COLUMNS)}
    table = [dict(zip(header, row)) for row in rows]
    key = ("scenario", "point", "target", "block", "position", "metric")
    told = {tuple(row[column] for column in key): row for row in table}
    assert (
        len(told) == len(table) == len(result["trials"]) * len(_names(result, "worker-pool/churn"))
    )
    for trial in result["trials"]:
        place = [trial["scenario"], point_name(trial["point"]), trial["target"]]
        for metric in ("load.throughput_rps", "load.latency_us.p50"):
            row = told[(*place, str(trial["block"]), str(trial["position"]), metric)]
            value = trial["load"]["throughput_rps"]
            if metric == "load.latency_us.p50":
                value = trial["load"]["latency_us"]["p50"]
            assert row["status"] == trial["status"]
            assert row["value"] == ("" if value is None else repr(value))
            assert row["reason"] == trial["unmeasured"].get(metric, "")


def test_prometheus_reads_its_text_format(export: Export) -> None:
    result = example_result()
    fail(result["trials"][0], "error-share", "too many errors")
    text, said = export(result, "prometheus")
    assert said == "spawnpool: left out: values not measured: 0; trials not valid: 1\n"
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert len(families) == len(re.findall("^# TYPE ", text, re.MULTILINE))
    assert {family.type for family in families.values()} == {"gauge"}
    assert "requests/s" in families["spawnpool_load_throughput_rps"].documentation
    for entry in summarize(result["suite"], result["trials"]):
        for target in entry["targets"]:
            labels = {
                "suite": "quick",
                "target": target["target"],
                "scenario": entry["scenario"],
                "point": point_name(entry["point"]),
            }
            values = {
                name: [s.value for s in family.samples if labels.items() <= s.labels.items()]
                for name, family in families.items()
            }
            metrics = target["metrics"]
            assert values["spawnpool_load_throughput_rps"] == [
                metrics["load.throughput_rps"]["median"]
            ]
            assert values["spawnpool_trials"] == list(target["trials"].values())
    assert all(re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name) for name in families)


def _odd() -> Json:
    """A result whose point has a text that no suite of ours would have, and a name that ends a line."""
    result = example_result()
    for tree in (*result["suite"]["planned"], *result["trials"]):
        if tree["scenario"] == "churn":
            tree["point"] = {"connections": 16, "think_time": ODD}
    for holder in (*result["suite"]["targets"],):
        if holder["name"] == "worker-pool":
            holder["name"] = "worker-pool\n"
    for tree in (*result["suite"]["planned"], *result["trials"]):
        if tree["target"] == "worker-pool":
            tree["target"] = "worker-pool\n"
    return {**result, "summary": summarize(result["suite"], result["trials"])}


@pytest.mark.parametrize("name", EXPORT_FORMATS)
def test_odd_names_come_back(name: str, export: Export, tmp_path: Path) -> None:
    result = _odd()
    text, _ = export(result, name)
    point = point_name({"connections": 16, "think_time": ODD})
    value = statistics.median(_by_hand(result, "worker-pool\n", "churn", 16))
    if name == "csv":
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
        assert {row[0] for row in rows[1:]} == {"thread-per-connection", "worker-pool\n"}
        assert {row[2] for row in rows[1:] if row[1] == "churn"} == {point}
    elif name == "prometheus":
        samples = [
            sample
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "spawnpool_load_throughput_rps"
        ]
        odd = {"target": "worker-pool\n", "point": point}.items()
        assert [sample.value for sample in samples if odd <= sample.labels.items()] == [value]
    else:
        assert text.isascii() and "\n\n" not in text
        assert json.dumps(f"worker-pool%0A/churn/{point}")[:-1] in text
    if name == "google-benchmark":
        told = _compare("benchmarks", tmp_path / "exported", tmp_path / "exported")
        assert f"worker-pool%0A/churn/{point}/load.throughput_rps" in told


@pytest.mark.parametrize("name", EXPORT_FORMATS)
def test_nulls_are_left_out_and_counted(name: str, export: Export) -> None:
    result = example_result()
    for trial in result["trials"]:
        if trial["target"] == "worker-pool":
            trial["server"]["cpu_us_per_request"] = None
            trial["unmeasured"]["server.cpu_us_per_request"] = "no /proc"
    result["summary"] = summarize(result["suite"], result["trials"])
    text, said = export(result, name)
    counts = {"google-benchmark": 18, "csv": None, "custom-bigger-is-better": None}
    count = counts.get(name, 3)  # trials, or points
    words = f"values not measured: {count}; trials not valid: 0"
    assert said == ("" if count is None else f"spawnpool: left out: {words}\n")
    if name in JSON_FORMATS:
        assert "null" not in text
        parse_json(text)  # strict: no NaN, no Infinity


@pytest.mark.parametrize("name", EXPORT_FORMATS)
def test_nothing_valid_is_still_a_document(name: str, export: Export) -> None:
    result = example_result()
    for trial in result["trials"]:
        fail(trial, "error-share", "too many errors")
    result["summary"] = summarize(result["suite"], result["trials"])
    text, said = export(result, name)
    assert said == "" if name == "csv" else "trials not valid: 36" in said
    read: dict[str, Callable[[str], Any]] = {
        "csv": lambda t: list(csv.reader(io.StringIO(t))),
        "prometheus": lambda t: list(text_string_to_metric_families(t)),
    }
    read.get(name, parse_json)(text)


@pytest.mark.parametrize("name", EXPORT_FORMATS)
def test_the_order_is_that_of_the_suite(name: str, export: Export) -> None:
    result = example_result()
    text, _ = export(result, name)
    result["trials"].reverse()  # as if they had run in another order
    assert export(result, name)[0] == text


@pytest.mark.parametrize("name", ["csv", "prometheus"])
def test_stdout_gets_the_same_bytes_in_any_locale(
    name: str, export: Export, tmp_path: Path
) -> None:
    text, _ = export(example_result(), name)
    assert not text.isascii()
    spawnpool, source = str(ROOT / "scripts" / "spawnpool"), str(tmp_path / "result.json")
    command = [spawnpool, "export", source, "--format", name]
    environment = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == (text.encode(), b"")


def test_a_number_beyond_every_number_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "result.json"
    write_result(path, example_result())
    path.write_text(
        re.sub('"throughput_rps": [0-9.]+', '"throughput_rps": 1e999', path.read_text())
    )
    assert main(["export", str(path), "--format", "csv"]) == 2
    assert "inf is no number that could have been measured" in capsys.readouterr().err
