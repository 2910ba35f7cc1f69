"""The command `export`: a result in the formats of other tools.

Where a format has a name for a series it is TARGET/SCENARIO/POINT (see `point_name`), and then the
metric's path: the same from run to run. The order is that of the summary, then of METRICS. A
situational metric that no trial at a point has is no row there. What a format cannot say (a null, a
trial that is not valid) is left out and counted.
"""
import csv
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from spawnpool.documents import Json
from spawnpool.load import point_name
from spawnpool.metrics import Metric, metrics_at
from spawnpool.plan import PAIRS_PER_BLOCK, trial_round
from spawnpool.results import ResultSchema, read_result

# Google Benchmark knows times only: what else there is keeps its number, and is told by the label.
TIME_UNITS = {"µs": "us", "µs/request": "us", "s": "s"}
NO_TIME = "ns"

CSV_COLUMNS = (
    "target",
    "scenario",
    "point",
    "block",
    "position",
    "status",
    "metric",
    "unit",
    "better",
    "value",
    "reason",
)


def export(result_path: Path, name: str, out: Path | None) -> None:
    """Writes the result in the format of this name, UTF-8, to a file or to stdout, and says on stderr
    how much was left out. UsageError when the file is no result."""
    result = read_result(result_path, ResultSchema())
    text, nulls = FORMATS[name](result)
    data = text.encode()
    if out is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(data)
    invalid = sum(trial["status"] != "valid" for trial in result["trials"])
    if name != "csv" and (nulls or invalid):
        words = f"left out: values not measured: {nulls}; trials not valid: {invalid}"
        print(f"spawnpool: {words}", file=sys.stderr)


def series_name(target: str, scenario: str, point: Json) -> str:
    """TARGET/SCENARIO/POINT in ASCII without spaces and quotes; what is odd is percent-encoded."""
    return f"{quote(target, safe='')}/{quote(scenario, safe='')}/{point_name(point)}"


def _medians(result: Json) -> Iterator[tuple[Json, str, Metric, Json]]:
    """Entry, target, metric and its median with what belongs to it, those that are null too."""
    for entry in result["summary"]:
        for target in entry["targets"]:
            for metric in metrics_at(entry):
                yield entry, target["target"], metric, target["metrics"][metric.path]


def _trials(result: Json) -> Iterator[tuple[Json, Metric]]:
    """Each trial with each metric of its point, in the order of the summary, then of the rounds."""
    targets = [target["name"] for target in result["suite"]["targets"]]
    for entry in result["summary"]:
        place = (entry["scenario"], entry["point"])
        here = [t for t in result["trials"] if (t["scenario"], t["point"]) == place]
        for target in targets:
            own = sorted(
                (trial for trial in here if trial["target"] == target),
                key=lambda trial: (trial["block"], trial["position"]),
            )
            for metric in metrics_at(entry):
                for trial in own:
                    yield trial, metric


def _json(document: Any) -> str:
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _google_benchmark(result: Json) -> tuple[str, int]:
    context, targets, nulls = result["context"], len(result["suite"]["targets"]), 0
    rows: list[Json] = []
    for trial, metric in _trials(result):
        if trial["status"] != "valid":
            continue
        value = metric.value(trial)
        if value is None:
            nulls += 1
            continue
        block, half = trial_round(trial, targets)
        name = series_name(trial["target"], trial["scenario"], trial["point"])
        rows.append(
            {
                "name": f"{name}/{metric.path}",
                "run_name": f"{name}/{metric.path}",
                "run_type": "iteration",
                "repetitions": PAIRS_PER_BLOCK * result["suite"]["blocks"],
                "repetition_index": PAIRS_PER_BLOCK * block + half,
                "threads": 1,
                "iterations": 1,
                "real_time": value,
                "cpu_time": value,
                "time_unit": TIME_UNITS.get(metric.unit, NO_TIME),
                "label": metric.unit + (f", {metric.better} is better" if metric.better else ""),
            }
        )
    for run in result["micro"]:
        if run["error_occurred"]:
            nulls += 1
        else:
            own = {key: value for key, value in run.items() if key != "unmeasured"}
            rows.append({key: value for key, value in own.items() if value is not None})
    revision = context["git"]["revision"] if context["git"] else None
    head = {
        "date": context["date"],
        "host_name": context["hostname"],
        "executable": "spawnpool",
        "num_cpus": context["cpus_online"],
        "load_avg": context["load_average"],
        "suite": result["suite"]["name"],
        **({"revision": revision} if revision else {}),
    }
    return _json({"context": head, "benchmarks": rows}), nulls


def _custom(result: Json, better: str) -> tuple[str, int]:
    rows, nulls = [], 0
    for entry, target, metric, told in _medians(result):
        if metric.better != better:
            continue
        if told["median"] is None:
            nulls += 1
            continue
        name = series_name(target, entry["scenario"], entry["point"])
        rows.append(
            {
                "name": f"{name}/{metric.path}",
                "unit": metric.unit,
                "value": told["median"],
                "range": f"{told['min']} to {told['max']}",
                "extra": f"{metric.label}: median of {told['trials']} trials",
            }
        )
    return _json(rows), nulls


def _bencher(result: Json) -> tuple[str, int]:
    benchmarks: dict[str, Json] = {}
    nulls = 0
    for entry, target, metric, told in _medians(result):
        if told["median"] is None:
            nulls += 1
            continue
        name = series_name(target, entry["scenario"], entry["point"])
        benchmarks.setdefault(name, {})[metric.path] = {
            "value": told["median"],
            "lower_value": told["min"],
            "upper_value": told["max"],
        }
    return _json(benchmarks), nulls


def _csv(result: Json) -> tuple[str, int]:
    """RFC 4180: CRLF ends a line, a quote is doubled."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(CSV_COLUMNS)
    for trial, metric in _trials(result):
        value = metric.value(trial)
        writer.writerow(
            [
                *(trial["target"], trial["scenario"], point_name(trial["point"])),
                *(trial["block"], trial["position"], trial["status"]),
                *(metric.path, metric.unit, metric.better or "", value),
                metric.reason(trial) if value is None else "",
            ]
        )
    return text.getvalue(), 0


def _prometheus(result: Json) -> tuple[str, int]:
    """The text exposition format 0.0.4: gauges, the samples of a family together."""
    families: dict[str, tuple[str, list[str]]] = {}
    nulls = 0

    def sample(family: str, words: str, labels: Iterable[tuple[str, str]], value: float) -> None:
        told = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
        families.setdefault(family, (words, []))[1].append(f"{family}{{{told}}} {value!r}")

    def place(entry: Json, target: str) -> list[tuple[str, str]]:
        return [
            ("suite", result["suite"]["name"]),
            ("target", target),
            ("scenario", entry["scenario"]),
            ("point", point_name(entry["point"])),
        ]

    for entry in result["summary"]:
        for target in entry["targets"]:
            for status, count in target["trials"].items():
                labels = [*place(entry, target["target"]), ("status", status)]
                sample("spawnpool_trials", "Trials by status.", labels, count)
    for entry, name, metric, told in _medians(result):
        if told["median"] is None:
            nulls += 1
            continue
        family = "spawnpool_" + re.sub("[^a-zA-Z0-9]", "_", metric.path)
        words = f"Median of the valid trials: {metric.label}."
        sample(family, words, place(entry, name), told["median"])
    lines = []
    for family, (words, samples) in families.items():
        lines += [f"# HELP {family} {words}", f"# TYPE {family} gauge", *samples]
    return "\n".join(lines) + "\n", nulls


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


# Each gives the text, and how many values it left out because they are null.
FORMATS = {
    "google-benchmark": _google_benchmark,
    "custom-smaller-is-better": lambda result: _custom(result, "lower"),
    "custom-bigger-is-better": lambda result: _custom(result, "higher"),
    "bencher": _bencher,
    "csv": _csv,
    "prometheus": _prometheus,
}
