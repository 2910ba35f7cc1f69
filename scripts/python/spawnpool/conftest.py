"""Fixtures that several tests share."""
import fcntl
import json
import os
import subprocess
from pathlib import Path

import pytest

from spawnpool import paths
from spawnpool.documents import Json
from spawnpool.results import ResultSchema, read_result
from spawnpool.suite import load_suite
from spawnpool.summary import summarize

PATIENCE = 120.0  # seconds; a test machine may be busy


@pytest.fixture(scope="session")
def real_result(tmp_path_factory: pytest.TempPathFactory) -> Json:
    """The result of a real, short run: kept connections, bursts and SIGTERM in the window, with
    everything counted that is counted apart from timing, and micro-benchmarks.

    Whether the machine was quiet enough for a fair measurement is left out: what was measured is
    valid here."""
    directory = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # whoever comes first runs it for all workers
        directory = directory.parent
    out = directory / "real-result.json"
    with (directory / "real-result.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not out.exists():
            _run(tmp_path_factory.mktemp("real")).rename(out)
    result = read_result(out, ResultSchema())
    for trial in result["trials"]:
        trial.update(status="valid", reasons=[])
    return {**result, "summary": summarize(result["suite"], result["trials"])}


def _run(directory: Path) -> Path:
    """The file of a result without a failed trial: a run in which one failed, because nobody was
    answered, is made again."""
    suite: Json = load_suite("costs")
    kept: Json
    (kept,) = suite["scenarios"]
    kept.update(name="kept", points=[{"connections": 4}])
    lossy: Json = {**kept, "connections": 4, "limits": {"error_share": 1}}
    bursts: Json = {**lossy, "name": "burst", "requests_per_connection": 1}
    bursts["points"] = [{"burst": {"size": 4, "every": "50ms"}}]
    ended: Json = {**lossy, "name": "ended", "points": [{"shutdown_after": "300ms"}]}
    suite.update(name="real", warmup="100ms", duration="500ms", timeout="5s", blocks=1)
    suite["targets"] = [t for t in suite["targets"] if t["name"] in ("thread-fresh", "pool-reused")]
    suite["scenarios"] = [kept, bursts, ended]
    suite["accounting"] = {"connections": 4, "requests_per_connection": 5, "syscalls": True}
    suite["micro"] = {"filter": "^(route|handler_signature)/", "min_time": "1ms", "repetitions": 2}
    path = directory / "real.json"
    path.write_text(json.dumps(suite))
    for attempt in range(3):
        out = directory / f"result-{attempt}.json"
        command = [
            str(word) for word in (paths.ROOT / "scripts" / "spawnpool", "run", path, "--out", out)
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert done.returncode in (0, 1), done.stderr
        trials = read_result(out, ResultSchema())["trials"]
        if all(trial["status"] != "failed" for trial in trials):
            return out
    pytest.fail(done.stderr)
