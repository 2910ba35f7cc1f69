"""The command `compare` from its files to its exit status."""
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from spawnpool import paths
from spawnpool.cli import main
from spawnpool.compare_formats import FORMATS
from spawnpool.documents import Json
from spawnpool.results import write_result
from spawnpool.testing import example_result, fail

BASE, POOL = "thread-per-connection", "worker-pool"


def _written(folder: Path, result: Json) -> str:
    path = folder / "result.json"
    write_result(path, result)
    return str(path)


def _faster() -> Json:
    return example_result(blocks=10)


def _slower() -> Json:
    return example_result({BASE: 150_000.0, POOL: 130_000.0}, blocks=10)


def _few_pairs() -> Json:
    return example_result(blocks=2)


def _varying() -> Json:
    result = _slower()
    result["trials"][0]["server"]["allocations"]["per_request"] = 77.0
    return result


def _always_failing() -> Json:
    result = _faster()
    for trial in result["trials"]:
        if (trial["target"], trial["scenario"]) == (POOL, "churn"):
            fail(trial, "target-died", "it died")
    return result


@pytest.mark.parametrize(
    "make, lenient, strict, fault",
    [
        (_faster, 0, 0, ""),
        (_slower, 1, 1, ""),
        (_few_pairs, 0, 3, ""),
        (_varying, 2, 2, "server.allocations.per_request of "),
        (_always_failing, 2, 2, "churn, connections 16: 0 of 20 pairs of "),
    ],
)
def test_exit_status(
    make: Callable[[], Json],
    lenient: int,
    strict: int,
    fault: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = _written(tmp_path, make())
    assert main(["compare", path]) == lenient
    told = capsys.readouterr()
    assert main(["compare", path, "--strict"]) == strict
    assert "keep-alive, connections 16" in told.out
    assert fault in told.err
    assert told.err.count("\n") == (1 if fault else 0)
    assert not fault or told.err.startswith("spawnpool: ")


def test_the_status_is_that_of_the_process(tmp_path: Path) -> None:
    command = [str(paths.ROOT / "scripts" / "spawnpool"), "compare", _written(tmp_path, _slower())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "")
    assert "slower" in done.stdout and "\x1b" not in done.stdout


def _text(result: Json) -> str:
    return json.dumps(result)


def _edited(path: str, value: object) -> Callable[[Json], str]:
    """A result with one value of a trial changed by hand."""

    def edit(result: Json) -> str:
        place = result["trials"][5]
        *steps, last = path.split("/")
        for step in steps:
            place = place[step]
        place[last] = value
        return _text(result)

    return edit


def _beyond(result: Json) -> str:
    """A number that no double holds."""
    return _edited("load/throughput_rps", 123.25)(result).replace("123.25", "1e999")


def _older(result: Json) -> str:
    return _text({**result, "schema_version": 1})


def _twice(result: Json) -> str:
    return _text({**result, "trials": result["trials"] + result["trials"][:1]})


def _without(key: str) -> Callable[[Json], str]:
    return lambda result: _text({name: part for name, part in result.items() if name != key})


@pytest.mark.parametrize(
    "content, words",
    [
        (
            lambda _: "",
            "is not JSON: Expecting value: line 1 column 1 (char 0); give a file that is whole",
        ),
        (lambda result: _text(result)[:20_000], "; give a file that is whole"),
        (lambda _: "null", "is no spawnpool result: give a file that 'spawnpool run' wrote"),
        (lambda _: '{"benchmarks": [], "context": {}}', "is no spawnpool result"),
        (_older, "has schema version 1, this reads "),
        (_twice, "is no valid result: trials[36]: is not in suite.planned, or there twice"),
        (_without("context"), "is no valid result: top level: 'context' is a required property"),
        (_edited("load/throughput_rps", float("nan")), "is not JSON: NaN is no JSON number"),
        (_edited("load/throughput_rps", float("inf")), "is not JSON: Infinity is no JSON number"),
        (_edited("load/throughput_rps", 1e200), "1e+200 is no number that could have been"),
        (_beyond, "trials[5].load.throughput_rps: inf is no number that could have been"),
        (_edited("load/requests", 10**400), "0000 is no number that could have been measured"),
        (_edited("load/throughput_rps", "fast"), "trials[5].load.throughput_rps: 'fast' is not of"),
        (_edited("load/throughput_rps", -1), "trials[5].load.throughput_rps: -1 is less than"),
        (_edited("load/throughput_rps", None), "trials[5].load.throughput_rps: is null without a"),
        (_edited("load/requests", 1.5), "trials[5].load.requests: 1.5 is not of type"),
        (_edited("status", "fine"), "trials[5].status: 'fine' is not one of"),
        (_edited("target", "nobody"), "trials[5]: is not in suite.planned, or there twice"),
        (_edited("block", 99), "trials[5]: is not in suite.planned, or there twice"),
    ],
)
def test_what_cannot_be_read_is_one_line(
    content: Callable[[Json], str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "result.json"
    path.write_text(content(example_result()))
    assert main(["compare", str(path)]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert told.err.startswith(f"spawnpool: {path} ") and words in told.err


def test_a_file_has_its_format_and_the_terminal_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = _written(tmp_path, _slower()), tmp_path / "new" / "verdicts.json"
    assert main(["compare", path, "--format", "json", "--out", str(out)]) == 1
    table = capsys.readouterr().out
    assert main(["compare", path]) == 1
    assert capsys.readouterr().out == table
    assert main(["compare", path, "--format", "json"]) == 1
    assert capsys.readouterr().out == out.read_text()


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_can_be_asked_for(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _written(tmp_path, _slower())
    assert main(["compare", path, "--format", name]) == 1
    assert "throughput" in capsys.readouterr().out


def test_runs_of_the_base_are_compared_and_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths_of_runs = []
    for seed, rate in enumerate((100_000.0, 160_000.0, 161_000.0, 159_000.0, 160_500.0)):
        result = example_result({BASE: 150_000.0 + seed, POOL: rate})
        result["suite"]["seed"] = seed
        paths_of_runs.append(str(tmp_path / f"{seed}.json"))
        write_result(Path(paths_of_runs[-1]), result)
    assert main(["compare", *paths_of_runs]) == 1
    assert "Not paired" in capsys.readouterr().out
    assert main(["compare", *paths_of_runs[:2], "--strict"]) == 3
    assert main(["compare", *paths_of_runs[:2], paths_of_runs[1]]) == 2
    assert "are the same run: give each once" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _written(tmp_path, _faster())
    assert main(["compare", path, "--out", f"{path}/below"]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert "give another place with --out" in told.err


def test_targets_are_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _written(tmp_path, _faster())
    assert main(["compare", path, "--targets", f"{POOL},{BASE}"]) == 1
    assert "slower" in capsys.readouterr().out
    assert main(["compare", path, "--targets", POOL]) == 2
    assert "two targets or more are to be compared" in capsys.readouterr().err
