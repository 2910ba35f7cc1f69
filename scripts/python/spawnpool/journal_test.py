import copy
from pathlib import Path

import pytest

from spawnpool.documents import Json
from spawnpool.errors import UsageError
from spawnpool.full_disk import no_room
from spawnpool.journal import CannotWrite, Journal, journal_path, read_journal, replay

LINES: list[Json] = [
    {"kind": "trials", "at": 0, "records": [{"name": "µ"}]},
    {"kind": "micro", "at": 0, "records": [{"n": 1}, {"n": 2}]},
    {"kind": "trials", "at": 1, "records": [{"name": "b\n"}]},
]


def _written(result: Path) -> Journal:
    journal = Journal(result)
    for line in LINES:
        journal.append(**line)
    return journal


def _empty() -> Json:
    return {"trials": [], "micro": []}


def test_what_was_appended_is_read_and_replayed(tmp_path: Path) -> None:
    _written(tmp_path / "result.json")
    lines = read_journal(tmp_path / "result.json")
    assert lines == LINES
    document = _empty()
    replay(document, lines)
    assert document == {"trials": [{"name": "µ"}, {"name": "b\n"}], "micro": [{"n": 1}, {"n": 2}]}


def test_no_journal_is_nothing_to_replay(tmp_path: Path) -> None:
    assert read_journal(tmp_path / "result.json") == []
    journal = _written(tmp_path / "result.json")
    journal.discard()
    journal.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_journal_that_ends_anywhere_keeps_all_lines_before(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    _written(result)
    content = journal_path(result).read_bytes()
    for length in range(len(content) + 1):
        journal_path(result).write_bytes(content[:length])
        assert read_journal(result) == LINES[: content[:length].count(b"\n")]


def test_what_the_result_has_already_is_passed_over() -> None:
    whole = _empty()
    replay(whole, LINES)
    for first in range(len(LINES) + 1):
        document = _empty()
        replay(document, LINES[:first])
        before = copy.deepcopy(document)
        replay(document, LINES[:first])
        assert document == before
        replay(document, LINES)
        assert document == whole


@pytest.mark.parametrize("line", [{**LINES[0], "at": 1}, {**LINES[0], "kind": "trial"}, {}])
def test_lines_of_another_result_are_no_continuation(line: Json) -> None:
    with pytest.raises(LookupError):
        replay(_empty(), [line])


def test_what_is_no_journal_is_one_line(tmp_path: Path) -> None:
    journal_path(tmp_path / "result.json").write_text("no JSON\n")
    with pytest.raises(UsageError, match=r"result.json.journal is no journal of a result: remove"):
        read_journal(tmp_path / "result.json")


def test_a_full_disk_is_one_line_and_keeps_what_was_there(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    journal = _written(result)
    with no_room(journal_path(result).stat().st_size + 10):
        with pytest.raises(CannotWrite, match="cannot write .*File too large; make room, or give"):
            journal.append("trials", 2, [{"name": "x" * 1000}])
    assert read_journal(result) == LINES
