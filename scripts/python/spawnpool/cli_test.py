import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spawnpool import paths
from spawnpool.cli import main
from spawnpool.full_disk import no_room
from spawnpool.results import write_result
from spawnpool.testing import example_result, fail

ROOT = paths.ROOT
COMMAND = ROOT / "scripts" / "spawnpool"


def _refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Runs the command line, checks that it ends as a usage error does, and gives the line."""
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("spawnpool: ") and captured.err.count("\n") == 1
    return captured.err


def test_version() -> None:
    done = subprocess.run([COMMAND, "--version"], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"spawnpool {paths.version()}\n"


@pytest.mark.parametrize(
    "command, status, words",
    [
        ([COMMAND, "plot", "no.json"], 2, "cannot read no.json: No such file"),
        ([ROOT / "scripts" / "load_bench.py", "--help"], 0, "usage: "),
    ],
)
def test_the_distributions_own_python_and_packages(
    command: list[str], status: int, words: str, tmp_path: Path
) -> None:
    assert Path(command[0]).read_text().splitlines()[0] == "#!/usr/bin/python3 -Es"
    user_site = f".local/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    for folder in ("path", user_site):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "numpy.py").write_text("raise SystemExit('not the distribution')")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    for poison in ({"PYTHONPATH": str(tmp_path / "path")}, {"HOME": str(tmp_path)}):
        done = subprocess.run(
            command, env=kept | poison, capture_output=True, text=True, timeout=30
        )
        assert done.returncode == status, done.stderr
        assert words in done.stdout + done.stderr


def test_a_missing_module_names_the_mend() -> None:
    # -S leaves the distribution's packages out.
    done = subprocess.run(
        [sys.executable, "-S", COMMAND, "run", "quick"], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "is missing: run scripts/setup.sh" in done.stderr


@pytest.mark.parametrize(
    "command", ["", "run", "compare", "duel", "plot", "report", "export", "doctor"]
)
def test_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        main([*command.split(), "--help"])
    assert ending.value.code == 0
    assert capsys.readouterr().out.startswith("usage: spawnpool")


@pytest.mark.parametrize(
    "words, line",
    [
        ([], "name a command: run, compare, duel, selfcheck, plot, report, export"),
        (["rum"], "unknown command 'rum': did you mean 'run'?"),
        (["--verbose"], "unrecognized arguments: --verbose"),
        (["run"], "the following arguments are required: SUITE"),
        (["run", "quik"], "unknown suite 'quik': did you mean 'quick'?"),
        (["run", "quick", "--targets", "nginx"], "unknown target 'nginx'"),
        (["run", "quick", "--blocks", "0"], "argument --blocks: '0' is no whole number"),
        (["run", "quick", "--blocks", "many"], "argument --blocks: 'many' is no whole number"),
        (["run", "quick", "--seed", "-1"], "argument --seed: "),
        (["run", "quick", "--set", "blocks"], "--set blocks: write it as PATH=VALUE"),
        (["run", "quick", "--set", "blocks=0"], "--set blocks: blocks: 0 is less than the minimum"),
        (["run", "quick", "--budget", "soon"], "--budget soon: budget: 'soon' does not match"),
        (["run", "quick", "--resume", "--dry-run"], "argument --dry-run: not allowed with argum"),
        (["run", "quick", "--colour"], "unrecognized arguments: --colour"),
        (["compare"], "the following arguments are required: RESULT"),
        (["compare", "no.json"], "cannot read no.json: No such file or directory"),
        (["compare", "no.json", "--format", "xml"], "argument --format: invalid choice: 'xml'"),
        (["plot"], "the following arguments are required: RESULT"),
        (["plot", "no.json"], "cannot read no.json: No such file or directory"),
        (["export", "no.json"], "the following arguments are required: --format"),
        (["export", "no.json", "--format", "xml"], "argument --format: invalid choice: 'xml'"),
        (["export", "no.json", "--format", "csv"], "cannot read no.json: No such file"),
        (["history"], "the following arguments are required: RESULT"),
        (["history", "no.json"], "cannot read no.json: No such file"),
        (["trend", "no.jsonl"], "cannot read no.jsonl: No such file"),
        (["trend", "--metric"], "argument --metric: expected one argument"),
        (["report", "/"], "cannot read /: Is a directory"),
    ],
)
def test_usage_errors(words: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert line in _refused(capsys, *words)


def test_a_missing_build_names_the_mend(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SPAWNPOOL_BUILD", str(tmp_path))
    line = _refused(capsys, "run", "quick", "--out", str(tmp_path / "result.json"))
    assert "spawnpool-trial is missing: build it with 'cmake --preset release" in line
    assert list(tmp_path.iterdir()) == []


def test_a_peer_that_is_asked_for_must_be_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SPAWNPOOL_BUILD", str(tmp_path))
    line = _refused(capsys, "run", "peers", "--targets", "worker-pool,nginx")
    assert "target 'nginx' cannot run: " in line
    assert f"{tmp_path}/bin/peer-nginx is missing: install nginx-light and build again" in line
    assert main(["run", "peers"]) == 2  # for want of a build; until then peers are skipped by name
    words = capsys.readouterr().err.splitlines()
    assert [line.split("'")[1] for line in words[:-1]] == ["go-fasthttp", "go-net-http", "nginx"]
    assert all(line.startswith("spawnpool: skipped: target ") for line in words[:-1])


@pytest.mark.parametrize("command", ["plot", "report"])
@pytest.mark.parametrize("content", ["", "null", '{"schema_version": 1, "trials": 3}', "{}"])
def test_no_result_is_one_line(
    command: str, content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.json"
    path.write_text(content)
    assert str(path) in _refused(capsys, command, str(path), "--out", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_plot_and_report_name_what_they_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "result.json"
    write_result(path, example_result())
    assert main(["plot", str(path), "--out", str(tmp_path / "pictures")]) == 0
    written = capsys.readouterr().out.splitlines()
    assert len(written) == 10 and all(Path(line).is_file() for line in written)
    assert main(["report", str(path), "--out", str(tmp_path / "page.html")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'page.html'}\n"


def test_nothing_to_draw_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = example_result()
    for trial in result["trials"]:
        fail(trial, "error-share", "too many errors")
    path = tmp_path / "result.json"
    path.write_text(json.dumps(result))
    assert "no valid trial to draw" in _refused(capsys, "plot", str(path), "--out", str(tmp_path))


def test_an_unwritable_place_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "result.json"
    write_result(path, example_result())
    line = _refused(capsys, "report", str(path), "--out", f"{path}/page.html")
    mend = "make room, or give another place with --out"
    assert line == f"spawnpool: {path}: File exists; {mend}\n"
    with no_room(1000):
        line = _refused(capsys, "report", str(path), "--out", f"{tmp_path}/page.html")
    assert line == f"spawnpool: cannot write the output: File too large; {mend}\n"
