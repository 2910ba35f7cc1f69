import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spawnpool.errors import UsageError
from spawnpool.lock import LOCK, lock_path, machine_lock

HOLD = f"""
import sys, subprocess
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from spawnpool.lock import machine_lock
with machine_lock():
    child = subprocess.Popen(["sleep", "60"])
    print(child.pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True, name="lock")
def _lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "lock"
    monkeypatch.setenv("SPAWNPOOL_LOCK", str(path))
    return path


@pytest.fixture(name="holder")
def _holder() -> "Iterator[subprocess.Popen[str]]":
    """Another process that has the lock, and a child of its own that outlives it."""
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        yield process
        process.kill()
        os.kill(child, signal.SIGKILL)


def test_the_default_is_the_same_for_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPAWNPOOL_LOCK")
    monkeypatch.setenv("TMPDIR", "/elsewhere")
    monkeypatch.setenv("HOME", "/elsewhere")
    assert lock_path() == LOCK == Path("/tmp/spawnpool.lock")


def test_a_second_process_is_told_who_has_the_lock(holder: "subprocess.Popen[str]") -> None:
    with pytest.raises(UsageError) as error, machine_lock():
        pass
    words = str(error.value)
    assert words.startswith(f"this machine is measured already: by process {holder.pid} ('")
    assert sys.executable in words and "since 20" in words and words.endswith("; wait for its end")


def test_the_lock_dies_with_its_process_and_no_child_keeps_it(
    holder: "subprocess.Popen[str]",
) -> None:
    holder.kill()
    holder.wait()
    with machine_lock():
        pass


def test_the_lock_is_given_back_and_its_file_serves_every_user(lock: Path) -> None:
    before = os.umask(0o077)
    try:
        for _ in range(2):
            with machine_lock():
                assert stat.S_IMODE(lock.stat().st_mode) == 0o444
                with pytest.raises(UsageError, match=f"by process {os.getpid()} "), machine_lock():
                    pass
    finally:
        os.umask(before)
    assert lock.read_bytes() == b""


def test_a_file_that_was_removed_meanwhile_is_no_lock(lock: Path) -> None:
    with machine_lock():
        lock.unlink()
        with machine_lock():
            with pytest.raises(UsageError), machine_lock():
                pass


@pytest.mark.parametrize("kind", ["link", "dangling", "fifo", "directory"])
def test_what_others_may_have_put_there_is_neither_followed_nor_written(
    kind: str, lock: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    if kind == "link":
        victim.write_text("precious")
        lock.symlink_to(victim)
    elif kind == "dangling":
        lock.symlink_to(victim)
    elif kind == "fifo":
        os.mkfifo(lock)
    else:
        lock.mkdir()
    with pytest.raises(UsageError, match=f"cannot lock {lock}: .*; remove what is there"):
        with machine_lock():
            pass
    assert victim.exists() == (kind == "link")
    assert kind != "link" or victim.read_text() == "precious"


def test_a_directory_that_is_not_there_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SPAWNPOOL_LOCK", str(tmp_path / "none" / "lock"))
    with pytest.raises(UsageError, match="cannot lock .*No such file or directory"):
        with machine_lock():
            pass
