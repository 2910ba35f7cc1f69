import json
import multiprocessing
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

from spawnpool.documents import Json
from spawnpool.errors import UsageError
from spawnpool.full_disk import no_room
from spawnpool.history import add_results, append, history_line, read_history, suite_hash
from spawnpool.load import point_name
from spawnpool.results import write_result
from spawnpool.summary import summarize
from spawnpool.testing import example_result, fail


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    return tmp_path / "history.jsonl"


def _added(result: Json, file: Path) -> Json:
    """The result's line, as it is read back."""
    source = file.with_name("result.json")
    write_result(source, result)
    add_results([source], file)
    return read_history(file)[-1]


def test_a_line_has_what_a_run_measured_and_where(file: Path) -> None:
    result = example_result()
    line = _added(result, file)
    context = result["context"]
    for key in ("date", "binaries"):
        assert line[key] == context[key]
    assert (line["revision"], line["dirty"]) == ("0" * 40, False)
    assert line["machine"] == {"hostname": "example", "cpu_model": None}
    assert line["unmeasured"] == {"machine.cpu_model": "/proc/cpuinfo names no model"}
    assert line["suite"]["name"] == "quick" and line["seed"] == result["suite"]["seed"]
    places = {(s["target"], s["scenario"], s["point"]): s["metrics"] for s in line["series"]}
    assert len(places) == len(line["series"]) == 6
    for trial in result["trials"]:
        place = trial["target"], trial["scenario"], point_name(trial["point"])
        values = [
            other["load"]["throughput_rps"]
            for other in result["trials"]
            if (other["target"], other["scenario"], point_name(other["point"])) == place
        ]
        told = places[place]["load.throughput_rps"]
        assert told == {"median": statistics.median(values), "n": 6}
        assert "shutdown.lost" not in places[place]


def test_nothing_valid_is_null_with_a_reason(file: Path) -> None:
    result = example_result()
    for trial in result["trials"]:
        if trial["target"] == "worker-pool":
            fail(trial, "error-share", "too many errors")
    result["summary"] = summarize(result["suite"], result["trials"])
    (base, pool, *_) = _added(result, file)["series"]
    assert base["metrics"]["load.throughput_rps"]["n"] == 6
    assert pool["metrics"]["load.throughput_rps"] == {
        "median": None,
        "n": 0,
        "reason": "no valid trial",
    }


def test_a_checkout_that_is_none_is_null_with_a_reason(file: Path) -> None:
    result = example_result()
    result["context"]["git"] = None
    result["context"]["unmeasured"]["git"] = "the project is no git checkout of its own"
    line = _added(result, file)
    assert (line["revision"], line["dirty"]) == (None, None)
    assert line["unmeasured"]["revision"] == "the project is no git checkout of its own"


def test_rates_of_a_fraction_have_one_name_in_every_run(file: Path) -> None:
    lines = [
        _added(example_result({"thread-per-connection": rate}, "rate-sweep"), file)
        for rate in (100_000.0, 123_456.7)
    ]
    points = [[series["point"] for series in line["series"]] for line in lines]
    assert points[0] == points[1] and points[0][0] == "rate_fraction:0.1"
    assert lines[0]["suite"]["sha256"] == lines[1]["suite"]["sha256"]


def test_the_hash_is_of_what_measurements_depend_on() -> None:
    suite = example_result()["suite"]
    same = {
        **suite,
        "seed": 7,
        "description": "other words",
        "planned": [],
        "skipped": [],
        "blocks": 9,
        "pairs": 18,
        "budget": "5m",
        "metrics": [{"path": "load.latency_us.p50", "gate": "noisy", "margin": 0.1}],
    }
    assert suite_hash(same) == suite_hash(suite)
    for key, value in (("duration", "9s"), ("targets", suite["targets"][:1]), ("driver", "wrk")):
        assert suite_hash({**suite, key: value}) != suite_hash(suite)


def test_lines_follow_each_other_and_a_result_that_is_none_adds_no_line(
    file: Path, tmp_path: Path
) -> None:
    first, second, third = example_result(), example_result(), example_result()
    second["context"]["date"] = "2026-01-02T00:00:00.000Z"
    del third["trials"][5:]
    third["run"]["ended_by"] = "signal"
    for name, result in (("1", first), ("2", second), ("3", third)):
        write_result(tmp_path / f"{name}.json", result)
    add_results([tmp_path / "1.json", tmp_path / "2.json"], file)
    before = file.read_bytes()
    assert [line["date"] for line in read_history(file)] == [
        "2026-01-01T00:00:00.123Z".replace("123", "000"),
        "2026-01-02T00:00:00.000Z",
    ]
    with pytest.raises(
        UsageError, match=r"3.json is of a run that did not end, with 5 of 36 trials"
    ):
        add_results([tmp_path / "1.json", tmp_path / "3.json"], file)
    assert file.read_bytes() == before


def _append_many(file: Path, mark: str) -> None:
    for _ in range(100):
        append(file, [mark * 5000, mark * 5000])


def test_writers_at_once_leave_whole_lines(file: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_append_many, args=(file, mark)) for mark in "abcd"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    lines = file.read_text().splitlines()
    assert len(lines) == 800
    assert all(len(line) == 5000 and len(set(line)) == 1 for line in lines)
    assert all(one == other for one, other in zip(lines[::2], lines[1::2]))  # of one call


def test_a_full_disk_leaves_the_history_as_it_was(file: Path) -> None:
    append(file, ["first"])
    with no_room(1000), pytest.raises(UsageError) as error:
        append(file, ["x" * 2000])
    assert str(error.value).startswith(f"cannot write {file}: ")
    assert "make room" in str(error.value)
    assert file.read_text() == "first\n"
    with pytest.raises(UsageError, match="cannot write .*: Is a directory"):
        append(file.parent, ["line"])


def _cut(text: str) -> str:
    return text[:-10]


@pytest.mark.parametrize(
    "spoil, complaint",
    [
        (_cut, "line 3 is cut off: remove this line and add its run again"),
        (lambda text: text + "\n", "line 4 is not JSON: "),
        (lambda text: text + "<<<<<<< HEAD\n", "line 4 is not JSON: "),
        (lambda text: text + '{"value": 3}\n', "line 4 is no run's line of a history; remove it"),
        (lambda text: "[1]\n" + text, "line 1 is no run's line of a history; remove it"),
        (
            lambda text: text.replace('"schema_version": 1', '"schema_version": 2', 1),
            "line 1 has schema version 2, this reads 1",
        ),
        (
            lambda text: text.replace('"n": 6', '"n": -6', 1),
            r"line 1 is no valid line: series\[0\].metrics.* -6 is less than the minimum",
        ),
        (
            lambda text: text.replace('{"median": ', '{"median": null, "was": ', 1),
            r"line 1 is no valid line: series\[0\].metrics",
        ),
        (lambda text: text.replace('"seed": 1', '"seed": NaN', 1), "line 1 is not JSON: NaN"),
    ],
)
def test_what_is_no_line_is_named_by_its_number(
    spoil: Callable[[str], str], complaint: str, file: Path
) -> None:
    for _ in range(3):
        _added(example_result(), file)
    file.write_text(spoil(file.read_text()))
    with pytest.raises(UsageError, match=complaint) as error:
        read_history(file)
    assert str(error.value).startswith(f"{file} line ") and "\n" not in str(error.value)


def test_bytes_that_are_no_text_are_named_too(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\n")
    with pytest.raises(UsageError, match="line 1 is not JSON: "):
        read_history(file)


def test_nothing_is_appended_to_a_line_that_was_cut_off(file: Path) -> None:
    _added(example_result(), file)
    file.write_text(_cut(file.read_text()))
    before = file.read_bytes()
    with pytest.raises(UsageError, match="line 1 is cut off"):
        _added(example_result(), file)
    assert file.read_bytes() == before


def test_a_line_needs_no_more_than_json_says(file: Path) -> None:
    line = history_line(Path("result.json"), example_result())
    assert json.loads(json.dumps(line)) == line == _added(example_result(), file)
