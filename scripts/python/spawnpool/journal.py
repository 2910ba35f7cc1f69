"""The journal of a run: what came since its result was last written whole.

To write thousands of trials again after each would take longer and longer. So each is a line in a file
beside the result, and a reader of the result reads that as well. It is gone when the run has ended.
"""
import json
import os
from pathlib import Path
from typing import Any, BinaryIO

from spawnpool.documents import Json
from spawnpool.errors import UsageError


class CannotWrite(UsageError):
    """A result or its journal could not be written."""

    def __init__(self, path: Path, error: OSError) -> None:
        mend = "make room, or give another place with --out"
        super().__init__(f"cannot write {path}: {error.strerror}; {mend}")


def journal_path(result: Path) -> Path:
    """Where the journal of a result lies."""
    return Path(f"{result}.journal")


class Journal:
    """Appends to the journal of a result. A line is on the disk when `append` returns, so that a crash
    at any instant loses at most the line under way."""

    def __init__(self, result: Path) -> None:
        self._path = journal_path(result)
        self._file: BinaryIO | None = None

    def append(self, kind: str, at: int, records: list[Json]) -> None:
        """Adds records that follow the first `at` ones of the result's list `kind`. UsageError when it
        cannot be written."""
        line = json.dumps(
            {"kind": kind, "at": at, "records": records}, ensure_ascii=False, allow_nan=False
        )
        try:
            if self._file is None:
                self._file = self._path.open("ab")
            self._file.write(line.encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise CannotWrite(self._path, error) from error

    def discard(self) -> None:
        """Removes the file: the result holds what it held."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._path.unlink(missing_ok=True)


def read_journal(result: Path) -> list[Json]:
    """The lines of a result's journal, none where there is none. The last one is left out where it was
    not written to its end. UsageError when the file cannot be read."""
    path = journal_path(result)
    try:
        whole, _, _ = path.read_bytes().rpartition(b"\n")
        return [json.loads(line) for line in whole.splitlines()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path} is no journal of a result: remove it") from error


def replay(document: Any, lines: list[Json]) -> None:
    """Adds to a result what the lines of its journal have beyond it.

    Lines that it has are passed over: a run may have ended between writing the result whole and
    removing the journal. KeyError, TypeError or IndexError when they are of no such document."""
    for line in lines:
        known = document[line["kind"]]
        if line["at"] > len(known):
            raise IndexError(line["at"])
        known[line["at"] :] = known[line["at"] :] or line["records"]
