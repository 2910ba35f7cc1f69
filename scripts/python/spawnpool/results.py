"""Result files: made, checked, written and read."""
import json
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from spawnpool.calibration import calibration_plan
from spawnpool.digest import MEMBER, is_as_written, with_digest
from spawnpool.documents import Json, parse_content, read_content, read_json
from spawnpool.errors import UsageError
from spawnpool.journal import CannotWrite, journal_path, read_journal, replay
from spawnpool.metrics import gates
from spawnpool.paths import RESULTS
from spawnpool.plan import trial_key
from spawnpool.schema import Schema
from spawnpool.shapes import Shapes
from spawnpool.summary import summarize

# 1 was before spawnpool-load: its trials lack what every trial tells now. 2 had no micro-benchmarks.
# 3 had no system calls by phase, no run, and less of the machine. 4 did not tell of idle cores.
SCHEMA_VERSION = 5


class InvalidResult(Exception):
    """A document that breaks results/schema.json or its rule on nulls; the text says where."""


class ResultSchema:
    """results/schema.json and the rule it cannot state: every null of the context, of a trial and of a
    micro-benchmark has its reason in `unmeasured`, and nothing else has."""

    def __init__(self) -> None:
        schema: Json = read_json(RESULTS / "schema.json")
        rules = {name: _unexplained for name in ("context", "trial", "micro")}
        self._document = Shapes(schema, rules)
        definitions = schema["definitions"]
        self._trial = Schema({"$ref": "#/definitions/trial", "definitions": definitions})
        self._properties: Json = definitions["trial"]["properties"]

    def check_trial(self, trial: Any) -> None:
        """Raises InvalidResult when the object is no TrialResult."""
        wrong = self._trial.complaint(trial) or _unexplained(trial)
        if wrong is not None:
            raise InvalidResult(wrong)

    def check_document(self, document: Any) -> None:
        """Raises InvalidResult when the object is no whole result, or a trial was not planned."""
        wrong = self._document.complaint(document)
        if wrong is not None:
            raise InvalidResult(wrong)
        suite = document["suite"]
        calibration = [planned.to_json() for planned in calibration_plan(suite)]
        for kind, plan, name in (
            ("trials", suite["planned"], "in suite.planned"),
            ("calibration", calibration, "of the suite's calibration"),
        ):
            planned = {trial_key(trial) for trial in plan}
            for index, trial in enumerate(document[kind]):
                if trial_key(trial) not in planned:
                    raise InvalidResult(f"{kind}[{index}]: is not {name}, or there twice")
                planned.remove(trial_key(trial))
        if document["micro"] and "micro" not in suite:
            raise InvalidResult("micro: is not asked for by the suite")
        try:
            gates(suite)
        except UsageError as error:
            raise InvalidResult(f"suite.metrics: {error}") from error

    def failed_trial(
        self, spec: Json, started_at: str, code: str, message: str, **known: Any
    ) -> Json:
        """The TrialResult of a trial that gave none itself; all is null but what is known of it."""
        trial = {
            "target": spec["target"]["name"],
            "scenario": spec["scenario"]["name"],
            **{key: spec[key] for key in ("point", "block", "position", "seed", "driver")},
            "status": "failed",
            "reasons": [{"code": code, "message": message}],
            "started_at": started_at,
            "before": None,
            "elapsed_s": None,
            "warmup_s": None,
            "window_s": None,
            "command": None,
            "cpus": None,
            "target_stderr": [],
            "check": None,
            "load": _nulls(self._properties["load"]),
            "server": _nulls(self._properties["server"]),
            "machine": _nulls(self._properties["machine"]),
            "shutdown": None,
            **known,
        }
        reason = f"{code}: {message}"
        return {**trial, "unmeasured": {path: reason for path in _null_paths(trial)}}


def _nulls(schema: Json) -> Any:
    """An object of a schema's shape, with what is required, in which every leaf is null."""
    if "properties" not in schema:
        return None
    return {key: _nulls(schema["properties"][key]) for key in schema["required"]}


def _null_paths(tree: Json, prefix: str = "") -> Iterator[str]:
    """Where a trial has nulls; an object with a key `reason` explains its own."""
    if "reason" in tree:
        return
    for key, value in tree.items():
        if value is None:
            yield prefix + key
        elif isinstance(value, dict):
            yield from _null_paths(value, f"{prefix}{key}.")


def _unexplained(record: Json) -> str | None:
    nulls = set(_null_paths({key: record[key] for key in record if key != "unmeasured"}))
    explained = set(record["unmeasured"])
    for path in sorted(nulls - explained):
        return f"{path}: is null without a reason in unmeasured"
    for path in sorted(explained - nulls):
        return f"unmeasured['{path}']: gives a reason for what is no null"
    return None


def read_result(path: Path, schema: ResultSchema) -> Json:
    """The same as read_trials(), with its summary made anew."""
    result = read_trials(path, schema)
    return {**result, "summary": summarize(result["suite"], result["trials"])}


def read_trials(path: Path, schema: ResultSchema) -> Json:
    """Reads and checks a result file, with the journal of a run that is under way or was killed; its
    summary is left as it is there. One that is as a run wrote it was checked then, and is not again.
    UsageError when it is none, and when it was changed since: whoever means to change one leaves its
    digest out."""
    # Before the result: what a run removes from the journal in between is in the result by then.
    journal = read_journal(path)
    content = read_content(path)
    with ThreadPoolExecutor(1) as beside:  # hashing lets go of the interpreter's lock
        as_written = beside.submit(is_as_written, content)
        document = parse_content(path, content, finite=False)  # the check refuses numbers beyond
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version is None:
        raise UsageError(f"{path} is no spawnpool result: give a file that 'spawnpool run' wrote")
    if version != SCHEMA_VERSION:
        raise UsageError(
            f"{path} has schema version {version}, this reads {SCHEMA_VERSION}: run the suite again, "
            "or read it with the spawnpool that wrote it"
        )
    if MEMBER in document and not as_written.result():
        raise UsageError(
            f"{path} was changed after a run had written it: run the suite again, or remove its "
            f"'{MEMBER}' to have it taken as it is"
        )
    try:
        replay(document, journal)
        if journal or MEMBER not in document:
            schema.check_document(document)
    except (LookupError, TypeError) as error:
        raise UsageError(
            f"{journal_path(path)} is of another result than {path.name}: remove it"
        ) from error
    except InvalidResult as error:
        raise UsageError(f"{path} is no valid result: {error}") from error
    document.pop(MEMBER, None)
    result: Json = document
    return result


def claim(path: Path) -> None:
    """Makes the empty file a new result goes to. UsageError when it is there already."""
    if path.exists():
        raise UsageError(f"{path} is there already: choose another, or --resume it")
    if journal_path(path).exists():
        raise UsageError(
            f"{journal_path(path)} is there, of a run whose result is gone: remove it, or choose "
            "another --out"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("x").close()  # fails if another run has made it since
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def write_result(path: Path, document: Json, checked: bool = False) -> None:
    """Replaces the file whole: a reader, and a crash at any instant, finds the old one or the new. One that
    was checked, with all its trials, has a digest to tell so. UsageError when it cannot be written.
    """
    text = with_digest(_text(document)) if checked else _text(document)
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                os.fchmod(file.fileno(), 0o644)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        if path.is_file() and path.stat().st_size == 0:  # claimed only: in the way of another try
            path.unlink()
        raise CannotWrite(path, error) from error


def _text(document: Json) -> str:
    """JSON with a line for each member, and for each element of those that are lists: to indent it
    throughout takes three times as long, and a quarter more room that each reader goes through."""
    encode = json.JSONEncoder(allow_nan=False).encode
    members = []
    for name, value in document.items():
        if isinstance(value, list) and value:
            text = "[\n  " + ",\n  ".join(encode(element) for element in value) + "\n ]"
        else:
            text = encode(value)
        members.append(f" {encode(name)}: {text}")
    return "{\n" + ",\n".join(members) + "\n}\n"
