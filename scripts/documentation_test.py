"""Every command that README.md and CONTRIBUTING.md show in a block marked `sh` is one that CI runs.

Blocks are run as they stand, in the order in which a reader meets them, in a copy of the tree without
anything built, so that they also work for who has just cloned it. Only lines that test.sh runs itself
are left out here.
"""

import collections.abc
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENTS = ("README.md", "CONTRIBUTING.md")
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What `spawnpool run` says of a trial, up to the reasons.
INVALID = re.compile(r"^spawnpool: invalid: (.*? \(block \d+, position \d+\)):", re.MULTILINE)
# The end at the first error, but for a measurement that was disturbed: the commands after it are to work
# with its result, too.
UNLESS_INVALID = """invalid=0
trap 'status=$?
case $status,$BASH_COMMAND in
  1,scripts/bench.sh* | 1,scripts/spawnpool\\ run*) invalid=1 ;;
  *) exit $status ;;
esac' ERR"""
# Blocks build and measure; a suite run takes minutes, not more.
TIMEOUT_S = 900


def run_elsewhere() -> set[str]:
    """The commands CI runs outside this test: test.sh, and each line of its stages, which may say on the
    next what is to be done when it fails."""
    lines = (ROOT / "scripts/test.sh").read_text().splitlines()
    return {
        "scripts/test.sh",
        *(line.strip().removesuffix(" ||") for line in lines if line.startswith("  ")),
    }


def blocks(document: str) -> list[str]:
    return BLOCK.findall((ROOT / document).read_text())


@pytest.fixture(scope="module")
def fresh_tree(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    tree = tmp_path_factory.mktemp("clone") / "spawnpool"
    not_cloned = shutil.ignore_patterns("build", "__pycache__", ".*_cache", "*-20*Z*")
    shutil.copytree(ROOT, tree, ignore=not_cloned, symlinks=True)
    return tree


@pytest.fixture(autouse=True)
def ends_when_told_to() -> collections.abc.Iterator[None]:
    """Makes SIGTERM an exception, so that a block under way is ended too."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    yield
    signal.signal(signal.SIGTERM, before)


def run_block(block: str, tree: pathlib.Path) -> None:
    """Runs a block, which has to succeed. Another process on this machine can make a trial invalid; that
    is no fault of the document, so a block with no other complaint is run again, twice at the most, and
    fails when some trial was invalid each time.
    """
    before = set((tree / "results").iterdir())
    always_invalid: set[str] | None = None
    for _ in range(3):
        for result in set((tree / "results").iterdir()) - before:
            result.unlink()  # a command that writes one does not overwrite it
        status, output = run_once(block, tree)
        invalid = set(INVALID.findall(output))
        complaint = f"{block}\nexit {status}\n{output}"
        assert (
            status == 0 or status == 1 and invalid and "spawnpool: failed:" not in output
        ), complaint
        always_invalid = invalid if always_invalid is None else always_invalid & invalid
        if not always_invalid:
            return
    raise AssertionError(f"invalid each time: {always_invalid}\n{complaint}")


def run_once(block: str, tree: pathlib.Path) -> tuple[int, str]:
    """Runs a block to its end in a process group of its own; none of the group outlives the call."""
    process = subprocess.Popen(
        ["bash", "-uo", "pipefail", "-c", f"{UNLESS_INVALID}\n{block}\nexit $invalid"],
        cwd=tree,
        env={**os.environ, "SPAWNPOOL_LOCK": str(tree.parent / "lock")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=TIMEOUT_S)
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=30)
        raise
    return process.returncode, output


def test_a_block_ends_at_its_first_error(fresh_tree: pathlib.Path) -> None:
    assert run_once("echo one\nfalse\necho two", fresh_tree) == (1, "one\n")
    status, output = run_once("scripts/spawnpool run no-such-suite\necho two", fresh_tree)
    assert status == 2 and "two" not in output
    with pytest.raises(AssertionError):
        run_block("false", fresh_tree)


def test_what_a_disturbed_run_leaves_is_used_and_a_second_run_decides(
    fresh_tree: pathlib.Path,
) -> None:
    """A program of the name `scripts/spawnpool` that says what `run` says, to this test alone."""
    tree = fresh_tree.parent / "disturbed"
    (tree / "scripts").mkdir(parents=True)
    (tree / "results").mkdir()
    program = tree / "scripts/spawnpool"
    line = "spawnpool: invalid: pool, kept (block %s, position 0): generator-bound: 99 %%"
    program.write_text(
        "#!/bin/bash\n[[ ! -e results/it ]] || exit 2\ntouch results/it\necho x >>runs\n"
        f"printf '{line}\\n' $(($(wc -l <runs) $2))\nexit 1\n"
    )
    program.chmod(0o755)
    run_block("scripts/spawnpool run '* 1'\n[[ -e results/it ]] && touch plotted", tree)
    assert (tree / "plotted").exists() and (tree / "runs").read_text() == "x\nx\n"
    (tree / "results/it").unlink()
    with pytest.raises(AssertionError, match="invalid each time"):
        run_block("scripts/spawnpool run '* 0'", tree)


def test_the_two_commands_are_documented() -> None:
    commands = "".join(blocks("README.md")).splitlines()
    assert "scripts/bench.sh" in commands and "scripts/test.sh" in commands


def test_every_command_works(fresh_tree: pathlib.Path) -> None:
    elsewhere = run_elsewhere()
    for document in DOCUMENTS:
        for block in blocks(document):
            left = [line for line in block.splitlines() if line.strip() not in elsewhere]
            if left:
                run_block("\n".join(left), fresh_tree)
    results = list((fresh_tree / "results").glob("quick-*Z.json"))
    assert results
    for result in results:
        assert (fresh_tree / "plots" / result.stem / "report.html").stat().st_size > 0


def test_the_documented_packages_are_those_that_setup_installs() -> None:
    section = (ROOT / "README.md").read_text().partition("## Dependencies\n")[2]
    named = set(re.findall(r"^\| `([a-z0-9+.-]+)` \|", section, re.MULTILINE))
    lists = re.findall(
        r"^(?:bench|test)_packages='\n(.*?)^'", (ROOT / "scripts/setup.sh").read_text(), re.M | re.S
    )
    assert len(lists) == 2
    assert named == {line.split()[0] for text in lists for line in text.splitlines()}
