"""Real duels in repositories whose revisions have the server of this build, or a script before it. One
that compiles its servers is in scripts/workflow_test.py."""
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from spawnpool import paths
from spawnpool.cli import main
from spawnpool.documents import Json
from spawnpool.duel import paired
from spawnpool.results import ResultSchema, read_result
from spawnpool.revisions import Built, Revision, cache
from spawnpool.suite import load_suite
from spawnpool.testing import git, repository


@pytest.fixture(name="root")
def _root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Revisions with the server of this build: `base` and `same`; and `older`, whose server refuses the
    option --workers."""
    monkeypatch.setenv("SPAWNPOOL_BUILD", str(paths.build_dir()))
    server = paths.binary("spawnpool-server")
    root = repository(tmp_path / "repository", "cp ../../server bin/spawnpool-server")
    monkeypatch.setattr(paths, "ROOT", root)
    shutil.copy(server, root / "server")
    _tagged(root, "base")
    (root / "other").write_text("what no server is built from")
    _tagged(root, "same")
    refuses = "#!/bin/sh\necho 'spawnpool-server: unknown option --workers' >&2\nexit 2\n"
    (root / "server").write_text(refuses)
    _tagged(root, "older")
    return root


def _tagged(root: Path, name: str) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "-m", name)
    git(root, "tag", name)


@pytest.fixture(name="suite")
def _suite(tmp_path: Path) -> str:
    suite = load_suite("quick")
    (pool,) = (target for target in suite["targets"] if target["name"] == "worker-pool")
    (kept,) = (scenario for scenario in suite["scenarios"] if scenario["name"] == "keep-alive")
    # 100 µs of work: the server is the limit, whoever sends the requests.
    kept.update(request={"method": "GET", "path": "/work?us=100"}, points=[{"connections": 2}])
    kept["expect"] = {"status": 200, "body": "done\n"}
    suite.update(targets=[pool], scenarios=[kept], blocks=1)
    suite.update(warmup="50ms", duration="200ms", timeout="5s", limits={"error_share": 1})
    suite["accounting"] = {"connections": 4, "requests_per_connection": 5}
    suite["micro"] = {"filter": "^route/", "min_time": "1ms", "repetitions": 1}
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(suite))
    return str(path)


def _refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The last line of a duel that ends as a usage error does."""
    assert main(["duel", *words]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    return told.err.splitlines()[-1]


def test_a_suite_has_two_targets_for_each_model() -> None:
    suite = load_suite("peers")
    base, head = (
        Built(Revision(ref, commit * 40, ref == ".", commit * 40), Path(f"/{commit}"), commit * 64)
        for ref, commit in (("main", "a"), (".", "b"))
    )
    targets = {target["name"]: target for target in paired(suite, base, head)["targets"]}
    models = [target for target in suite["targets"] if "model" in target]
    assert 0 < len(models) < len(suite["targets"])
    assert list(targets) == [f"{it['name']}@{side}" for it in models for side in ("base", "head")]
    pool = targets["worker-pool@head"]
    (asked,) = (target for target in models if target["name"] == "worker-pool")
    assert pool["command"][:5] == ["/b", "--model", "worker-pool", "--port", "0"]
    assert pool["command"][5:] == asked["options"]
    assert pool["against"] == "worker-pool@base" and "against" not in targets["worker-pool@base"]
    told = {"ref": ".", "commit": "b" * 40, "dirty": True, "server_sha256": "b" * 64}
    assert pool["revision"] == told


def test_a_duel_from_two_names_to_a_verdict(
    root: Path, suite: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "duel.json"
    words = ["duel", "base", "same", "--suite", suite, "--out", str(out), "--seed", "7"]
    words += ["--set", 'targets.worker-pool.options=["--workers","3"]', "--format", "json"]
    assert main(words) == 0
    told = capsys.readouterr()
    verdicts = json.loads(told.out)  # and nothing beside
    assert {(it["base"], it["target"]) for it in verdicts["lines"]} == {
        ("worker-pool@base", "worker-pool@head")
    }
    assert "left out, as it is the same for both revisions: micro-benchmarks\n" in told.err
    assert f"result: {out}" in told.err
    result: Json = read_result(out, ResultSchema())
    assert result["suite"]["seed"] == 7
    for target, ref in zip(result["suite"]["targets"], ("base", "same"), strict=True):
        assert target["revision"]["commit"] == git(root, "rev-parse", ref)
        assert target["command"][-2:] == ["--workers", "3"]
    for trial in result["trials"]:
        assert trial["command"][0].endswith("/spawnpool-server")
        # What only our own servers tell.
        assert trial["server"]["threads_started"] is not None
        assert trial["server"]["allocations"]["by_phase"] is not None
        assert trial["server"]["time_series"]["status"] is not None
    # The result by itself gives the same verdicts; times from 2 pairs are none.
    assert main(["compare", str(out), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == verdicts
    assert main(["compare", str(out), "--strict"]) == 3


def test_a_revision_too_old_for_an_option_and_equal_ones(
    root: Path, suite: str, capsys: pytest.CaptureFixture[str]
) -> None:
    commit = git(root, "rev-parse", "--short=10", "older")
    assert main(["duel", "older", "HEAD", "--suite", suite]) == 2
    _, *said, last = capsys.readouterr().err.splitlines()
    assert said == [
        f"spawnpool: 'older' and 'HEAD' are both {commit}: an A/A, in which every difference is noise",
        f"spawnpool: builds older ({commit})",  # once
    ]
    refusal = "target 'worker-pool@base': spawnpool-server: unknown option --workers"
    assert last == f"spawnpool: {refusal}"


def test_what_cannot_be(
    root: Path, suite: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "unknown revision 'bose'" in _refused(capsys, "bose", "same", "--suite", suite)
    assert "unknown suite 'cii'" in _refused(capsys, "base", "same", "--suite", "cii")
    last = _refused(capsys, "base", "same", "--suite", "peers", "--targets", "nginx")
    assert "no target is one of this project's servers, of which revisions differ: nginx" in last
    words = ["base", "same", "--suite", suite, "--out", str(tmp_path / "there")]
    (tmp_path / "there").touch()
    assert "there is there already" in _refused(capsys, *words)
    held = f"""
import sys
import threading
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from spawnpool.lock import machine_lock
with machine_lock():
    print(flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", held], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline()
        assert "this machine is measured already" in _refused(capsys, *words[:4])
        holder.communicate()


def test_a_signal_ends_the_build_and_leaves_no_worktree(
    suite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPAWNPOOL_BUILD", str(paths.build_dir()))
    pipe, writer = tmp_path / "until", list[int]()
    os.mkfifo(pipe)
    root = repository(tmp_path / "repository", f"cat {pipe}")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "-m", "waits")
    monkeypatch.setattr(paths, "ROOT", root)

    def end() -> None:  # opens once the build reads
        writer.append(os.open(pipe, os.O_WRONLY))
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=end)
    thread.start()
    assert main(["duel", "main", "main", "--suite", suite]) == 143
    thread.join()
    with pytest.raises(BrokenPipeError):  # nobody reads any more
        os.write(writer[0], b"x")
    os.close(writer[0])
    assert git(root, "worktree", "list", "--porcelain").count("worktree ") == 1
    (entry,) = cache(root).iterdir()
    assert [path.name for path in entry.iterdir()] == ["build.log"]
