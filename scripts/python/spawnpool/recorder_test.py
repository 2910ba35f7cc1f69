import copy
import json
import os
from pathlib import Path

import pytest

from spawnpool.digest import is_as_written
from spawnpool.documents import Json
from spawnpool.errors import UsageError
from spawnpool.full_disk import no_room
from spawnpool.journal import journal_path
from spawnpool.recorder import Recorder
from spawnpool.results import InvalidResult, ResultSchema, read_result
from spawnpool.testing import example_result

SCHEMA = ResultSchema()


def _begun(suite_name: str = "signature") -> tuple[Json, Json]:
    """A whole result, and the same before anything is measured."""
    whole = example_result(suite_name=suite_name)
    return whole, {**whole, "calibration": [], "trials": [], "micro": [], "summary": []}


def _record(recorder: Recorder, whole: Json) -> None:
    for trial in whole["trials"]:
        recorder.add("trials", trial)
    for index in range(whole["suite"]["micro"]["repetitions"]):
        recorder.add_micro([run for run in whole["micro"] if run["repetition_index"] == index])


def test_the_end_is_one_file_that_holds_everything(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    whole, begun = _begun()
    with Recorder(path, begun, SCHEMA) as recorder:
        _record(recorder, whole)
    assert os.listdir(tmp_path) == ["result.json"]
    assert is_as_written(path.read_bytes())
    assert read_result(path, SCHEMA) == whole


def test_a_reader_finds_every_trial_while_the_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    whole, begun = _begun()
    with Recorder(path, begun, SCHEMA) as recorder:
        for count, trial in enumerate(whole["trials"][:5], start=1):
            recorder.add("trials", trial)
            assert read_result(path, SCHEMA)["trials"] == whole["trials"][:count]
        # What a crash between the last two steps of the end would leave.
        journal = journal_path(path).read_bytes()
    journal_path(path).write_bytes(journal)
    assert read_result(path, SCHEMA)["trials"] == whole["trials"][:5]


def test_what_was_begun_goes_on_with_its_journal(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    whole, begun = _begun()
    Recorder(path, begun, SCHEMA).__enter__().add("trials", whole["trials"][0])  # and was killed
    assert len(json.loads(path.read_text())["trials"]) == 0
    rest = {**whole, "trials": whole["trials"][1:]}
    with Recorder(path, read_result(path, SCHEMA), SCHEMA) as recorder:
        assert not journal_path(path).exists()
        _record(recorder, rest)
    assert read_result(path, SCHEMA) == whole


def test_the_rates_of_the_calibration_are_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    whole, begun = _begun("rate-sweep")
    planned = copy.deepcopy(begun["suite"]["planned"])
    for trial in planned:
        del trial["point"]["rate"]
    begun["suite"] = {**begun["suite"], "planned": planned}
    with Recorder(path, begun, SCHEMA) as recorder:
        for trial in whole["calibration"]:
            recorder.add("calibration", trial)
        recorder.resolve()
        on_disk = json.loads(path.read_text())
        assert on_disk["suite"]["planned"] == whole["suite"]["planned"]
        assert on_disk["calibration"] == whole["calibration"]
        assert not journal_path(path).exists()


def test_nothing_wrong_gets_to_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    whole, begun = _begun()
    with Recorder(path, begun, SCHEMA) as recorder:
        recorder.add("trials", whole["trials"][0])
        with pytest.raises(InvalidResult, match="status: 'fine' is not one of"):
            recorder.add("trials", {**whole["trials"][1], "status": "fine"})
    assert len(read_result(path, SCHEMA)["trials"]) == 1


def test_an_error_leaves_what_was_measured_and_no_empty_result(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    whole, begun = _begun()
    with pytest.raises(UsageError, match="rebuilt"), Recorder(path, copy.deepcopy(begun), SCHEMA):
        raise UsageError("rebuilt")
    assert os.listdir(tmp_path) == []
    with pytest.raises(UsageError, match="rebuilt"), Recorder(path, begun, SCHEMA) as recorder:
        recorder.add("trials", whole["trials"][0])
        raise UsageError("rebuilt")
    assert os.listdir(tmp_path) == ["result.json"]
    assert len(read_result(path, SCHEMA)["trials"]) == 1


def test_a_full_disk_keeps_the_trials_before(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    whole, begun = _begun()
    with pytest.raises(UsageError, match="make room"), Recorder(path, begun, SCHEMA) as recorder:
        recorder.add("trials", whole["trials"][0])
        with no_room(journal_path(path).stat().st_size + 100):
            recorder.add("trials", whole["trials"][1])
    assert read_result(path, SCHEMA)["trials"] == whole["trials"][:1]
