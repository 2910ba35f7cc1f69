"""The history: a file of JSON lines, one for each run, with what `trend` needs of it.

results/history.schema.json defines a line. Lines are only ever appended, whole or not at all, also by
several writers at once."""
import fcntl
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from spawnpool.documents import Json, parse_json
from spawnpool.errors import UsageError
from spawnpool.load import point_name
from spawnpool.metrics import metrics_at
from spawnpool.paths import RESULTS
from spawnpool.results import ResultSchema, read_result
from spawnpool.schema import Schema

LINE_VERSION = 1
HISTORY = RESULTS / "history.jsonl"
# What a suite says and the medians of its trials do not depend on.
_BESIDE = (
    *("description", "seed", "planned", "skipped", "metrics"),
    *("blocks", "pairs", "budget"),  # how often it is measured
)


def add_results(results: list[Path], out: Path) -> None:
    """Appends a line for each result, in their order; if one is none, no line at all. UsageError when
    one is no whole result, or the history cannot be written."""
    schema = ResultSchema()
    lines = [history_line(path, read_result(path, schema)) for path in results]
    append(out, [json.dumps(line, allow_nan=False) for line in lines])


def history_line(path: Path, result: Json) -> Json:
    """What the history keeps of a result, which was read from `path`."""
    context, suite = result["context"], result["suite"]
    if result["run"]["ended_by"] not in ("complete", "budget"):
        done, planned = len(result["trials"]), len(suite["planned"])
        raise UsageError(
            f"{path} is of a run that did not end, with {done} of {planned} trials: go on with it by "
            "'spawnpool run … --resume' first"
        )
    git = context["git"] or {"revision": None, "dirty": None}
    reasons = {
        path: context["unmeasured"][source]
        for path, source, value in (
            ("revision", "git", git["revision"]),
            ("dirty", "git", git["dirty"]),
            ("machine.cpu_model", "cpu_model", context["cpu_model"]),
        )
        if value is None
    }
    return {
        "schema_version": LINE_VERSION,
        "date": context["date"],
        "seed": suite["seed"],
        "revision": git["revision"],
        "dirty": git["dirty"],
        "machine": {"hostname": context["hostname"], "cpu_model": context["cpu_model"]},
        "suite": {
            "name": suite["name"],
            "sha256": suite_hash(suite),
            "metrics": suite.get("metrics", []),
        },
        "binaries": context["binaries"],
        "series": [
            {
                "target": target["target"],
                "scenario": entry["scenario"],
                "point": point_name(entry["point"]),
                "metrics": {
                    metric.path: _median(target["metrics"][metric.path])
                    for metric in metrics_at(entry)
                },
            }
            for entry in result["summary"]
            for target in entry["targets"]
        ],
        "unmeasured": reasons,
    }


def _median(told: Json) -> Json:
    median = {"median": told["median"], "n": told["trials"]}
    return median if told["median"] is not None else {**median, "reason": told["reason"]}


def suite_hash(suite: Json) -> str:
    """SHA-256 of what a suite's measurements depend on, as hexadecimal digits."""
    asked = {key: value for key, value in suite.items() if key not in _BESIDE}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def append(path: Path, lines: list[str]) -> None:
    """Appends lines, which have no line ends, in a single write under a lock. UsageError when the file
    does not end with a whole line, or cannot be written: then it is as it was."""
    data = "".join(line + "\n" for line in lines).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # until the handle is closed
        size = os.fstat(handle).st_size
        if size > 0 and os.pread(handle, 1, size - 1) != b"\n":
            raise _cut_off(path, path.read_bytes().count(b"\n") + 1)
        try:
            if os.write(handle, data) < len(data):
                raise OSError(0, "no room")
        except OSError:
            os.ftruncate(handle, size)
            raise
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        os.close(handle)


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"cannot write {path}: {error.strerror}; make room, or give another place with --out"
    )


def _cut_off(path: Path, number: int) -> UsageError:
    return UsageError(f"{path} line {number} is cut off: remove this line and add its run again")


def read_history(path: Path) -> list[Json]:
    """The lines of a history in their order. UsageError that names the first line that is none."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            data = file.read()
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}; 'spawnpool history RESULT' makes a history"
        ) from error
    schema = Schema.read(RESULTS / "history.schema.json")
    *lines, rest = data.split(b"\n")
    read = [_parse(f"{path} line {number}", line, schema) for number, line in enumerate(lines, 1)]
    if rest:
        raise _cut_off(path, len(lines) + 1)
    return read


def _parse(place: str, line: bytes, schema: Schema) -> Json:
    mend = "remove it, or restore it from the result with 'spawnpool history'"
    try:
        document: Any = parse_json(line.decode())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{place} is not JSON: {error}; {mend}") from error
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version is None:
        raise UsageError(f"{place} is no run's line of a history; {mend}")
    if version != LINE_VERSION:
        raise UsageError(f"{place} has schema version {version}, this reads {LINE_VERSION}; {mend}")
    wrong = schema.complaint(document)
    if wrong is not None:
        raise UsageError(f"{place} is no valid line: {wrong}; {mend}")
    checked: Json = document
    return checked
