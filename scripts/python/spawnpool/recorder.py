"""Keeps what a run has measured on the disk while it goes on."""
from pathlib import Path
from types import TracebackType

from spawnpool.calibration import resolved
from spawnpool.documents import Json
from spawnpool.journal import CannotWrite, Journal
from spawnpool.plan import PlannedTrial
from spawnpool.results import ResultSchema, write_result
from spawnpool.summary import summarize


class Recorder:
    """Keeps the files equal to the result in memory, checked against its schema: the result is written
    whole, with its summary, on entering and on leaving; what is added in between is a line in the
    journal, which costs the same however much there is already. UsageError when the disk is full.

    A result in which nothing was measured before an error is removed."""

    def __init__(self, path: Path, result: Json, schema: ResultSchema) -> None:
        self._path, self._result, self._schema = path, result, schema
        self._journal = Journal(path)

    def __enter__(self) -> "Recorder":
        self._write()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._write()
        elif not any(self._result[key] for key in ("calibration", "trials", "micro")):
            self._journal.discard()
            self._path.unlink()
        elif not isinstance(error, CannotWrite):  # else the journal keeps what there was room for
            self._write()

    def add(self, kind: str, trial: Json) -> None:
        """`kind` is "trials" or "calibration"."""
        self._schema.check_trial(trial)
        self._append(kind, [trial])

    def add_micro(self, runs: list[Json]) -> None:
        """A repetition of the micro-benchmarks."""
        self._append("micro", runs)

    def _append(self, kind: str, records: list[Json]) -> None:
        self._journal.append(kind, len(self._result[kind]), records)
        self._result[kind] += records

    def resolve(self) -> None:
        """Puts the rates that come of the calibration into the planned trials."""
        suite = self._result["suite"]
        plan = [PlannedTrial(**planned) for planned in suite["planned"]]
        rates = [
            planned.to_json() for planned in resolved(suite, plan, self._result["calibration"])
        ]
        if rates != suite["planned"]:
            suite["planned"] = rates
            self._write()

    def _write(self) -> None:
        result = self._result
        result["summary"] = summarize(result["suite"], result["trials"])
        # Trials were checked when they came.
        self._schema.check_document({**result, "calibration": [], "trials": []})
        write_result(self._path, result, checked=True)
        self._journal.discard()
