import copy
import json
import os
import re
import stat
from pathlib import Path
from typing import Any

import pytest

from spawnpool.documents import Json
from spawnpool.errors import UsageError
from spawnpool.full_disk import no_room
from spawnpool.journal import Journal, journal_path
from spawnpool.plan import draw_plan
from spawnpool.results import InvalidResult, ResultSchema, claim, read_result, write_result
from spawnpool.suite import load_suite, trial_spec
from spawnpool.testing import example_result

SCHEMA = ResultSchema()


@pytest.fixture(name="result")
def _result() -> Json:
    return example_result()


def test_the_example_is_valid(result: Json) -> None:
    SCHEMA.check_document(result)
    SCHEMA.check_document(example_result(suite_name="signature"))


@pytest.mark.parametrize(
    "change, words",
    [
        ({"real_time": -1}, "micro[3].real_time: -1 is less than the minimum"),
        ({"real_time": None}, "micro[3].real_time: is null without a reason in unmeasured"),
        ({"time_unit": "m"}, "micro[3].time_unit: 'm' is not one of"),
        ({"run_type": "aggregate"}, "micro[3].run_type: 'iteration' was expected"),
        ({"total_allocated_bytes": 3}, "micro[3]: Additional properties"),
        ({"error_occurred": True}, "micro[3]: 'error_message' is a required property"),
        ({"error_message": "no"}, "micro[3].error_message: False schema does not allow 'no'"),
        ({"unmeasured": {"cpu_time": "no"}}, "micro[3].unmeasured['cpu_time']: gives a reason for"),
    ],
)
def test_a_wrong_micro_benchmark_is_found_with_its_place(change: Json, words: str) -> None:
    result = example_result(suite_name="signature")
    result["micro"][3].update(change)
    with pytest.raises(InvalidResult) as error:
        SCHEMA.check_document(result)
    assert str(error.value).startswith(words)


def test_micro_benchmarks_are_those_that_the_suite_asks_for() -> None:
    result = example_result(suite_name="signature")
    del result["suite"]["micro"]
    with pytest.raises(InvalidResult, match="micro: is not asked for by the suite"):
        SCHEMA.check_document(result)
    del result["micro"]
    with pytest.raises(InvalidResult, match="top level: 'micro' is a required property"):
        SCHEMA.check_document(result)


@pytest.mark.parametrize(
    "path, value, words",
    [
        ("load/throughput_rps", "fast", "load.throughput_rps: 'fast' is not of type"),
        ("load/throughput_rps", -1, "load.throughput_rps: -1 is less than the minimum"),
        ("load/requests", 1.5, "load.requests: 1.5 is not of type"),
        ("load/latency_us/p98", 3, "load.latency_us: Additional properties"),
        ("server/fibers", 3, "server: Additional properties"),
        ("status", "fine", "status: 'fine' is not one of"),
        ("status", "failed", "reasons: [] is too short"),
        ("reasons", [{"code": "x", "message": "y"}], "reasons: "),
        ("target", "<script>", "target: '<script>' does not match"),
        ("started_at", "yesterday", "started_at: "),
        ("load/latency_us/p50", None, "load.latency_us.p50: is null without a reason"),
        ("check", None, "check: is null without a reason"),
        (
            "unmeasured/load.requests",
            "x",
            "unmeasured['load.requests']: gives a reason for what is",
        ),
        ("unmeasured/load.rejected", "", "unmeasured.load.rejected: '' is too short"),
    ],
)
def test_a_wrong_trial_is_found_with_its_place(
    result: Json, path: str, value: Any, words: str
) -> None:
    place = result["trials"][2]
    *steps, last = path.split("/")
    for step in steps:
        place = place[step]
    place[last] = value
    with pytest.raises(InvalidResult) as error:
        SCHEMA.check_trial(result["trials"][2])
    assert str(error.value).startswith(words)
    with pytest.raises(InvalidResult) as error:
        SCHEMA.check_document(result)
    assert str(error.value).startswith("trials[2].")


def test_a_null_of_the_context_has_its_reason(result: Json) -> None:
    result["context"]["clock_source"] = None
    with pytest.raises(InvalidResult, match="^context.clock_source: is null without a reason"):
        SCHEMA.check_document(result)


@pytest.mark.parametrize("key", ["load", "unmeasured", "seed", "target_stderr"])
def test_nothing_may_be_left_out_of_a_trial(result: Json, key: str) -> None:
    del result["trials"][0][key]
    with pytest.raises(InvalidResult, match=f"'{key}' is a required property"):
        SCHEMA.check_trial(result["trials"][0])


@pytest.mark.parametrize("thing", [None, [], "trial", 3, {}])
def test_what_is_no_object_of_a_trial_is_refused(thing: Any) -> None:
    with pytest.raises(InvalidResult):
        SCHEMA.check_trial(thing)


def test_a_trial_is_planned_and_there_once(result: Json) -> None:
    twice = copy.deepcopy(result)
    twice["trials"].append(twice["trials"][0])
    foreign = copy.deepcopy(result)
    foreign["trials"][4]["block"] = 77
    for document, index in ((twice, 36), (foreign, 4)):
        with pytest.raises(InvalidResult, match=rf"trials\[{index}\]: is not in suite.planned"):
            SCHEMA.check_document(document)


def test_a_calibration_trial_is_of_the_plan_and_there_once() -> None:
    result = example_result(suite_name="rate-sweep")
    SCHEMA.check_document(result)
    twice = {**result, "calibration": [*result["calibration"], result["calibration"][0]]}
    with pytest.raises(InvalidResult, match=r"calibration\[6\]: is not of the suite's calibration"):
        SCHEMA.check_document(twice)
    foreign = {**example_result(), "calibration": result["calibration"]}
    with pytest.raises(InvalidResult, match=r"calibration\[0\]: is not of the suite's"):
        SCHEMA.check_document(foreign)


def test_metrics_are_judged_as_the_suite_may_ask(result: Json) -> None:
    result["suite"]["metrics"] = [{"path": "load.latency_us.p50", "gate": "noisy", "margin": 0.1}]
    SCHEMA.check_document(result)
    result["suite"]["metrics"][0]["path"] = "load.latency_us.p51"
    with pytest.raises(InvalidResult, match="suite.metrics: unknown metric 'load.latency_us.p51'"):
        SCHEMA.check_document(result)


def test_an_object_with_a_reason_explains_its_own_nulls(result: Json) -> None:
    trial = result["trials"][0]
    trial["load"]["steady_state"] = {"steady": None, "evidence": [], "reason": "too short"}
    SCHEMA.check_trial(trial)
    trial["unmeasured"]["load.steady_state.steady"] = "too short"
    with pytest.raises(InvalidResult, match="gives a reason for what is no null"):
        SCHEMA.check_trial(trial)


def test_a_failed_trial_is_valid_and_explains_every_null() -> None:
    suite = load_suite("quick")
    spec = trial_spec(suite, draw_plan(suite, 1)[0], seed=1)
    trial = SCHEMA.failed_trial(spec, "2026-01-01T00:00:00.000Z", "trial-crashed", "exited 139")
    SCHEMA.check_trial(trial)
    assert trial["load"]["latency_us"]["p99"] is None
    assert trial["unmeasured"]["server.allocations.per_request"] == "trial-crashed: exited 139"


def test_written_is_read_back(result: Json, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_result(path, result)
    assert read_result(path, SCHEMA) == result
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == ["result.json"]


def test_the_summary_is_made_anew_when_read(result: Json, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    summary = copy.deepcopy(result["summary"])
    result["summary"] = []
    write_result(path, result)
    assert read_result(path, SCHEMA)["summary"] == summary


def test_a_failure_to_write_leaves_the_old_file_and_no_rest(result: Json, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_result(path, result)
    before = path.read_bytes()
    with pytest.raises(ValueError):  # no NaN gets into a file
        write_result(path, {**result, "schema_version": float("nan")})
    (tmp_path / "taken").mkdir()
    with pytest.raises(UsageError, match="cannot write .*taken: .*--out"):
        write_result(tmp_path / "taken", result)
    with no_room(1000), pytest.raises(
        UsageError, match="cannot write .*: File too large; make room"
    ):
        write_result(path, result)
    assert path.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["result.json", "taken"]


def test_a_claimed_file_that_cannot_be_written_is_given_up(result: Json, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    claim(path)
    with no_room(1000), pytest.raises(UsageError, match="make room"):
        write_result(path, result)
    claim(path)  # nothing is in the way of another try


def test_a_reader_never_sees_a_part(result: Json, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_result(path, result)
    with path.open() as early:
        write_result(path, {**result, "trials": []})
        assert len(json.load(early)["trials"]) == 36  # the old file, whole
    assert json.loads(path.read_text())["trials"] == []


def test_claim_never_takes_an_existing_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "result.json"
    claim(path)
    with pytest.raises(UsageError, match="is there already: choose another, or --resume it"):
        claim(path)
    with pytest.raises(UsageError, match="cannot write"):
        claim(path / "below-a-file.json")


def test_a_journal_without_its_result_is_not_taken_for_a_new_ones(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    journal_path(path).touch()
    with pytest.raises(UsageError, match="result.json.journal is there, of a run whose result is"):
        claim(path)


def test_a_journal_of_another_result_is_refused(result: Json, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_result(path, result)
    Journal(path).append("trials", 37, [result["trials"][0]])
    with pytest.raises(UsageError, match="result.json.journal is of another result than result.js"):
        read_result(path, SCHEMA)


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[]", "is no spawnpool result"),
        (b'{"benchmarks": []}', "is no spawnpool result"),
        (
            b'{"schema_version": 1}',
            "has schema version 1, this reads 5: run the suite again, or read it with the spawnpool "
            "that wrote it",
        ),
        (b'{"schema_version": 5}', "is no valid result: top level: "),
    ],
)
def test_no_result_is_refused_in_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "other.json"
    path.write_bytes(content)
    with pytest.raises(UsageError) as error:
        read_result(path, SCHEMA)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_what_a_run_wrote_is_believed_and_what_was_changed_since_is_refused(
    result: Json, tmp_path: Path
) -> None:
    path = tmp_path / "result.json"
    result["trials"][3]["load"]["requests"] = -1  # which no run writes: it checks
    write_result(path, result, checked=True)
    assert read_result(path, SCHEMA)["trials"] == result["trials"]
    written = path.read_text()
    for changed in (written.replace("-1,", "2,"), json.dumps(json.loads(written), indent=2)):
        path.write_text(changed)
        with pytest.raises(UsageError, match="result.json was changed after a run had written it"):
            read_result(path, SCHEMA)
    # Who means to change it does as the error says, and then it is checked.
    path.write_text(re.sub(' "sha256": .*\n', "", written.replace("-1,", "2,")))
    assert read_result(path, SCHEMA)["trials"][3]["load"]["requests"] == 2
    path.write_text(re.sub(' "sha256": .*\n', "", written))
    with pytest.raises(UsageError, match=r"trials\[3\].load.requests: -1 is less than the minimum"):
        read_result(path, SCHEMA)


def test_a_trial_is_a_line_of_the_file(result: Json, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    result["micro"] = []
    write_result(path, result)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "{" and lines[-1] == "}" and ' "micro": [],' in lines
    first = lines.index(' "trials": [') + 1
    trials = lines[first : lines.index(" ],", first)]
    assert [json.loads(line.rstrip(",")) for line in trials] == result["trials"]


def test_a_journal_is_checked_with_its_result(result: Json, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    last = result["trials"].pop()
    write_result(path, result, checked=True)
    last["load"]["requests"] = -1
    Journal(path).append("trials", len(result["trials"]), [last])
    with pytest.raises(
        UsageError, match=r"trials\[35\].load.requests: -1 is less than the minimum"
    ):
        read_result(path, SCHEMA)


def test_a_truncated_result_is_refused(result: Json, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_result(path, result)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(UsageError, match="is not JSON"):
        read_result(path, SCHEMA)
