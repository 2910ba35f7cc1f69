"""The command as users run it: each state where its cause is real."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from spawnpool import paths
from spawnpool.cli import main
from spawnpool.doctor import WIDTH
from spawnpool.schema import Schema

COMMAND = paths.ROOT / "scripts" / "spawnpool"
PATIENCE_S = 120
SCHEMA = Schema.read(paths.RESULTS / "doctor.schema.json")


def doctor(*before: str, python: tuple[str, ...] = (), **env: str) -> tuple[int, dict[str, Any]]:
    """Exit status and checks by name of `doctor --json`, run by the command `before` it."""
    interpreter = [sys.executable, *python] if python else []
    done = subprocess.run(
        [*before, *interpreter, str(COMMAND), "doctor", "--json"],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.stderr == ""
    document = json.loads(done.stdout)
    assert SCHEMA.complaint(document) is None
    assert document["measurable"] == (done.returncode == 0)
    checks = {check["name"]: check for check in document["checks"]}
    assert len(checks) == len(document["checks"])
    for check in document["checks"]:
        subprocess.run(["bash", "-n", "-c", check["mend"] or ""], check=True)
    return done.returncode, checks


def without_the_right_to_ask() -> list[str]:
    """Before a command: takes CAP_NET_ADMIN from root; others do not have it."""
    drop = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]
    return drop if os.geteuid() == 0 else []


def tools_without(where: Path, *left_out: str) -> str:
    """A PATH with the system's tools, except those left out."""
    where.mkdir()
    for tool in Path("/usr/bin").iterdir():
        if tool.name not in left_out:
            (where / tool.name).symlink_to(tool)
    return str(where)


def a_debug_build(where: Path) -> str:
    """A build tree whose programs are there, and what counts in the accounting passes is
    not."""
    (where / "bin").mkdir(parents=True)
    for name in ("spawnpool-server", "spawnpool-load", "spawnpool-trial"):
        shutil.copy(paths.binary(name), where / "bin" / name)
    (where / "CMakeCache.txt").write_text(
        "CMAKE_BUILD_TYPE:STRING=Debug\nCMAKE_CXX_COMPILER:FILEPATH=/usr/bin/c++\n"
    )
    return str(where)


def test_what_setup_has_installed_can_be_measured() -> None:
    status, checks = doctor()
    assert status == 0
    for name in ("python", "build", "micro", "wrk", "go", "nginx", "go-net-http", "go-fasthttp"):
        assert checks[name]["state"] == "ok", checks[name]
    for name in ("allocations", "ptrace", "valgrind"):
        assert checks[name]["state"] == "ok", checks[name]
    assert "server.cpu_us_per_request" not in checks["costs"]["null_fields"]
    # A busy machine makes it invalid, which is told; measured it is.
    assert checks["trial"]["state"] in ("ok", "limited")


def test_everything_that_can_be_taken_away(tmp_path: Path) -> None:
    tools = tools_without(tmp_path / "tools", "wrk", "valgrind", "go")
    cpu = min(os.sched_getaffinity(0))
    pinned = ["taskset", "-c", str(cpu)]
    few = ["prlimit", "--nofile=200:200", "--", *pinned]
    busy = subprocess.Popen([*pinned, sys.executable, "-c", "while True: pass"])
    try:
        build = a_debug_build(tmp_path / "build")
        status, checks = doctor(
            *without_the_right_to_ask(), *few, PATH=tools, SPAWNPOOL_BUILD=build
        )
    finally:
        busy.kill()
        busy.wait()
    assert status == 0, "limited is enough for `run quick`"

    for name in ("wrk", "valgrind", "go"):
        assert checks[name]["state"] == "missing"
        assert f"{name} is not installed" in checks[name]["found"]
        assert checks[name]["mend"].startswith("sudo apt-get install ")
    assert "server.instructions_per_request" in checks["valgrind"]["null_fields"]

    assert checks["build"]["state"] == "limited" and "Debug" in checks["build"]["found"]
    assert checks["allocations"]["state"] == "missing"
    assert "server.allocations.per_request" in checks["allocations"]["null_fields"]
    assert checks["ptrace"]["state"] == "missing"
    assert "server.syscalls_by_phase" in checks["ptrace"]["null_fields"]
    assert "build it" in checks["ptrace"]["found"]
    assert checks["ptrace"]["mend"] == checks["build"]["mend"]

    assert checks["cores"]["state"] == "limited"
    assert f"CPUs this may use: {cpu} " in checks["cores"]["found"]
    assert "cpus.shared" in checks["cores"]["follows"]
    assert checks["load"]["state"] == "limited"
    assert f" % of CPUs {cpu} within " in checks["load"]["found"]

    assert checks["descriptors"]["state"] == "limited"
    assert "200 per process" in checks["descriptors"]["found"]
    assert "idle" in checks["descriptors"]["follows"]
    assert "quick" not in checks["descriptors"]["follows"]

    taskstats = checks["taskstats"]
    assert taskstats["state"] == "missing" and "Operation not permitted" in taskstats["found"]
    assert "server.context_switches_per_request" in taskstats["null_fields"]
    assert ("setcap" in (taskstats["mend"] or "")) == (os.geteuid() != 0)


def test_without_a_build(tmp_path: Path) -> None:
    status, checks = doctor(SPAWNPOOL_BUILD=str(tmp_path))
    assert status == 1
    assert checks["build"]["state"] == "missing" and checks["build"]["needed"]
    assert "spawnpool-server, spawnpool-trial, spawnpool-load" in checks["build"]["found"]
    assert checks["build"]["mend"].startswith("cmake --preset release && ")
    assert checks["micro"]["state"] == checks["nginx"]["state"] == "missing"
    assert "the target is skipped in " in checks["nginx"]["follows"]
    assert "spawnpool-trial is missing" in checks["trial"]["found"]
    assert checks["taskstats"]["found"] == "not tried: it takes a trial"
    assert list(tmp_path.iterdir()) == []


def test_without_python_packages() -> None:
    status, checks = doctor(python=("-S",))  # leaves the distribution's packages out
    assert status == 1
    assert checks["python"]["state"] == "missing" and checks["python"]["needed"]
    assert checks["python"]["mend"] == (
        "sudo apt-get install python3-numpy python3-scipy python3-matplotlib python3-rich "
        "python3-jsonschema python3-jinja2"
    )
    for group in ("programs", "limits", "trial"):
        words = checks[group]["found"]
        assert words.startswith("not tried: the Python module '") and words.endswith("' is missing")
    assert checks.keys() >= {"cores", "perf-software"}  # which need none


def test_the_text_fits_the_terminal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SPAWNPOOL_BUILD", str(tmp_path))
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    for line in lines:
        one_word = len(line.split()) <= 3
        assert len(line) <= WIDTH or line.lstrip().startswith("mend: ") or one_word, line
    assert lines[-1].startswith("This machine cannot measure `run quick`: ")
    build = next(line for line in lines if " build " in line)
    assert build.startswith("missing  build ")


def test_an_interrupted_examination_ends_as_others_do() -> None:
    process = subprocess.Popen([COMMAND, "doctor"], stdout=subprocess.PIPE, text=True)
    try:
        _await_child(process.pid, "spawnpool-trial")
        process.send_signal(signal.SIGTERM)
        words, _ = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, words) == (128 + signal.SIGTERM, "")


def _await_child(pid: int, name: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    children = Path(f"/proc/{pid}/task/{pid}/children")
    while True:
        for child in children.read_text().split():
            try:
                if name in Path(f"/proc/{child}/cmdline").read_text():
                    return
            except OSError:  # it has ended meanwhile
                continue
        assert time.monotonic() < deadline, f"no {name} was started"


@pytest.mark.parametrize("words", [["doctor", "now"], ["doctor", "--yaml"]])
def test_usage_errors(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert "unrecognized arguments" in capsys.readouterr().err
