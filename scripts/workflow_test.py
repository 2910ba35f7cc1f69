"""The workflow for GitHub: each of its shell steps is run here as GitHub does, on a pull request that makes
a route slower. What no test here can run are the actions it uses and GitHub's machine.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import typing

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORKFLOW = ROOT / ".github/workflows/duel.yml"
EXPRESSION = re.compile(r"\$\{\{ *(.*?) *\}\}")
TIMEOUT_S = 600

SUITE = {
    "name": "tiny",
    "description": "One route of one model",
    "targets": [{"name": "pool", "model": "worker-pool", "options": ["--workers", "4"]}],
    "scenarios": [
        {
            "name": "kept",
            "request": {"method": "GET", "path": "/work?us=100"},
            "expect": {"status": 200, "body": "done\n"},
            "requests_per_connection": 0,
            "points": [{"connections": 2}],
        }
    ],
    "driver": "builtin",
    "warmup": "100ms",
    "duration": "500ms",
    "timeout": "5s",
    "accounting": {"connections": 4, "requests_per_connection": 5},
    "limits": {"error_share": 1},
    "blocks": 1,
}
ROUTE = "void work(RequestContext& context) {\n"
# What is counted gives a verdict however busy the machine is, two pairs of times do not.
SLOWER = """  void* volatile taken = std::malloc(64);
  std::free(taken);
  timespec delay{0, 5'000'000};
  nanosleep(&delay, nullptr);
"""


def git(tree: pathlib.Path, *words: str) -> str:
    identity = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.com")
    command = ["git", "-C", str(tree), *identity, "-c", "core.hooksPath=/dev/null", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(name="merge", scope="module")
def _merge(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A clone in which HEAD makes a route slower than HEAD~1, this tree."""
    tree = tmp_path_factory.mktemp("merge") / "spawnpool"
    not_cloned = shutil.ignore_patterns("build", ".git", "__pycache__", ".*_cache", "*-20*Z*")
    shutil.copytree(ROOT, tree, ignore=not_cloned, symlinks=True)
    git(tree, "init", "--quiet")
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "-m", "This tree")
    handlers = tree / "servers/handlers.cpp"
    text = handlers.read_text()
    assert text.count(ROUTE) == 1
    handlers.write_text("#include <cstdlib>\n" + text.replace(ROUTE, ROUTE + SLOWER))
    git(tree, "commit", "--quiet", "--all", "-m", "A slower route")
    return tree


def shell_steps() -> dict[str, typing.Any]:
    """The steps that are commands, by their names."""
    document = yaml.safe_load(WORKFLOW.read_text())
    (job,) = document["jobs"].values()
    return {step["name"]: {"env": {}, **step} for step in job["steps"] if "run" in step}


def run(
    step: dict[str, typing.Any], tree: pathlib.Path, known: dict[str, str], env: dict[str, str]
) -> "subprocess.CompletedProcess[str]":
    """Runs a step as GitHub does, with the expressions that are known."""
    own = {
        name: EXPRESSION.sub(lambda found: known[found[1]], value)
        for name, value in step["env"].items()
    }
    return subprocess.run(
        ["bash", "-e", "-c", step["run"]],
        cwd=tree,
        env={**os.environ, **env, **own},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )


def test_no_step_has_words_of_others_in_its_shell() -> None:
    document = yaml.safe_load(WORKFLOW.read_text())
    assert document["permissions"] == {"contents": "read"}
    assert not [name for name, step in shell_steps().items() if EXPRESSION.search(step["run"])]


def test_a_pull_request_that_makes_a_route_slower_is_told(
    merge: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    suite, summary = tmp_path / "tiny.json", tmp_path / "summary.md"
    suite.write_text(json.dumps(SUITE))
    env = {"SUITE": str(suite), "GITHUB_STEP_SUMMARY": str(summary)}
    env["SPAWNPOOL_LOCK"] = str(tmp_path / "lock")
    base = git(merge, "rev-parse", "HEAD~1")
    known = {"github.event.pull_request.base.sha": base}
    statuses, said = {}, {}
    for name, step in shell_steps().items():
        done = run(step, merge, known, env)
        statuses[name] = done.returncode
        said[name] = done.stdout
        assert done.returncode == (
            1 if name == "Duel" else 0
        ), f"{name}\n{done.stdout}{done.stderr}"
    assert list(statuses) == ["Install", "Build the harness", "Duel", "Summarise"]
    worse = "::error title=pool@head is worse%3A kept%2C connections 2::allocations/request"
    assert worse in said["Duel"], said["Duel"]
    assert "2 regressed" in summary.read_text() and "pool@head" in summary.read_text()
    assert "pool@head" in (merge / "build/duel.html").read_text()

    result = json.loads((merge / "build/duel.json").read_text())
    told = {target["name"]: target["revision"] for target in result["suite"]["targets"]}
    assert [it["commit"] for it in told.values()] == [base, git(merge, "rev-parse", "HEAD")]
    assert [it["dirty"] for it in told.values()] == [False, False]
    assert told["pool@base"]["server_sha256"] != told["pool@head"]["server_sha256"]
    assert "build/release" not in git(merge, "worktree", "list")
    assert git(merge, "worktree", "list").count("\n") == 0
    assert git(merge, "status", "--porcelain") == ""
    (entry,) = result["summary"]
    latency = {
        it["target"]: it["metrics"]["load.latency_us.p50"]["median"] for it in entry["targets"]
    }
    assert latency["pool@head"] >= 5000
