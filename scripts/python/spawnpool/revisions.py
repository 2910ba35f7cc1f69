"""Servers of git revisions, built in worktrees of their own and kept under build/duel."""
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from spawnpool.child import Ended, Interruption, run_child
from spawnpool.documents import Json
from spawnpool.errors import UsageError

WORKING_TREE = "."
# A server is some megabytes; so many revisions are kept, those that were used last.
KEPT = 8
BUILD_SECONDS = 3600
# Set within hooks and `git rebase --exec`; they would lead git elsewhere than to the root.
_MISLEADING = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")


@dataclass(frozen=True)
class Revision:
    """What `ref` stands for: a commit, where `dirty` with the changes that are not committed. `source` is
    what is built: the commit, or one beside every branch that has the changes."""

    ref: str
    commit: str
    dirty: bool
    source: str

    def __str__(self) -> str:
        return f"{self.commit[:10]}{' with uncommitted changes' if self.dirty else ''}"


@dataclass(frozen=True)
class Built:
    """The server of a revision."""

    revision: Revision
    server: Path
    sha256: str

    def to_json(self) -> Json:
        """As a suite has it under `revision`."""
        return {
            "ref": self.revision.ref,
            "commit": self.revision.commit,
            "dirty": self.revision.dirty,
            "server_sha256": self.sha256,
        }


def resolve(root: Path, ref: str) -> Revision:
    """The revision that a commit, a branch, a tag or WORKING_TREE stands for in the checkout at `root`.
    UsageError when it is none, or there is no checkout."""
    for program in ("git", "cmake", "ninja"):
        if shutil.which(program) is None:
            raise UsageError(f"{program} is not installed: apt-get install git cmake ninja-build")
    found = _try_git(root, "rev-parse", "--show-toplevel")
    if found.returncode != 0 or Path(found.stdout.strip()) != root:
        why = _last_line(found) if found.returncode != 0 else "it lies within another repository"
        raise UsageError(f"{root} is no git repository ({why}): clone the project with git")
    if ref == WORKING_TREE:
        return _working_tree(root)
    found = _try_git(root, "rev-parse", "--verify", "--end-of-options", f"{ref}^{{commit}}")
    if found.returncode != 0:
        raise UsageError(
            f"unknown revision '{ref}': name a commit, branch or tag that 'git log --all' shows, after "
            f"'git fetch' where it is another's, or '{WORKING_TREE}' for the working tree"
        )
    commit = found.stdout.strip().splitlines()[-1]
    return Revision(ref, commit, False, commit)


def _working_tree(root: Path) -> Revision:
    head = _git(root, "rev-parse", "--verify", "HEAD")
    if not _git(root, "status", "--porcelain"):
        return Revision(WORKING_TREE, head, False, head)
    with tempfile.TemporaryDirectory() as folder:  # with an index of its own: that of the user stays
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        _git(root, "read-tree", head, more=index)
        _git(root, "add", "--all", more=index)
        tree = _git(root, "write-tree", more=index)
    # Nobody's, at no time: the same files are the same commit, which is built once.
    author = {f"GIT_{who}_{what}": "spawnpool" for who in _WHO for what in ("NAME", "EMAIL")}
    author |= {f"GIT_{who}_DATE": "2000-01-01T00:00:00Z" for who in _WHO}
    words = ("commit-tree", "-p", head, "-m", "The working tree, for spawnpool duel", tree)
    return Revision(WORKING_TREE, head, True, _git(root, *words, more=author))


_WHO = ("AUTHOR", "COMMITTER")


def build(root: Path, revision: Revision, interruption: Interruption) -> Built | None:
    """The server of the revision, with the preset `release`: the one that was kept, or a new one; None
    when the user interrupted it. UsageError when it does not build. Not for two processes at once.
    """
    entry = cache(root) / revision.source
    server, seal = entry / "spawnpool-server", entry / "sha256"
    if not _is_whole(server, seal):
        print(f"spawnpool: builds {revision.ref} ({revision})", file=sys.stderr)
        entry.mkdir(parents=True, exist_ok=True)
        seal.unlink(missing_ok=True)
        with _worktree(root, entry / "tree", revision) as tree:
            if not _compile(tree, entry / "build.log", revision, interruption):
                return None
            shutil.copy(tree / "build" / "release" / "bin" / server.name, server)
        seal.write_text(_sha256(server))
    os.utime(entry)
    return Built(revision, server, seal.read_text())


def cache(root: Path) -> Path:
    """Where the servers are kept, in a folder each that is called as the commit that was built."""
    return root / "build" / "duel"


def forget_old(root: Path, used: set[str]) -> None:
    """Leaves the folders of the KEPT revisions that were used last, and of those with these sources."""
    entries = sorted(cache(root).iterdir(), key=lambda it: it.stat().st_mtime, reverse=True)
    for entry in entries[KEPT:]:
        if entry.name not in used:
            shutil.rmtree(entry)


def _is_whole(server: Path, seal: Path) -> bool:
    """Whether a build came to its end here, and nobody changed what it left."""
    return server.is_file() and seal.is_file() and _sha256(server) == seal.read_text()


@contextmanager
def _worktree(root: Path, tree: Path, revision: Revision) -> Iterator[Path]:
    """The revision's files, which are removed in the end, however that comes."""
    _remove(root, tree)  # of a process that was killed
    try:
        # Hooks are for who works in a tree.
        hookless = ("-c", "core.hooksPath=/dev/null")
        _git(root, *hookless, "worktree", "add", "--detach", str(tree), revision.source)
        yield tree
    finally:
        _remove(root, tree)


def _remove(root: Path, tree: Path) -> None:
    """Removes a worktree, or what there is of one."""
    _try_git(root, "worktree", "remove", "--force", str(tree))
    if tree.exists():  # no worktree yet, or a compiler that was ended wrote a last file
        shutil.rmtree(tree, ignore_errors=True)
        _try_git(root, "worktree", "prune")


def _compile(tree: Path, log: Path, revision: Revision, interruption: Interruption) -> bool:
    """False when the user interrupted it. UsageError when it fails."""
    configure = ["cmake", "-S", str(tree), "--preset", "release", "-DBUILD_TESTING=OFF"]
    # Not through cmake --build, which would leave ninja alone when it is ended.
    make = ["ninja", "-C", str(tree / "build" / "release"), "spawnpool-server"]
    said = ""
    for command in (configure, make):
        ended = run_child(command, "", BUILD_SECONDS, interruption)
        said += ended.output + ended.words
        log.write_text(said, encoding="utf-8")
        if interruption.signal is not None:
            return False
        if ended.fault is not None or ended.status != 0:
            raise UsageError(
                f"{revision.ref} ({revision}) does not build: {_complaint(ended)}; all that was said "
                f"is in {log}; mend it, or name another revision"
            )
    return True


def _complaint(ended: Ended) -> str:
    """The last lines that tell of an error, or the last of all."""
    lines = [line.strip() for line in (ended.output + ended.words).splitlines() if line.strip()]
    # Ninja repeats the command, with its -Werror, which tells nobody anything.
    errors = [line for line in lines if re.search(r"\berror\b", line, re.IGNORECASE)]
    told = (errors or lines)[-3:]
    return " | ".join([*told, *([ended.fault] if ended.fault else [])]) or f"exit {ended.status}"


def _git(root: Path, *words: str, more: Mapping[str, str] | None = None) -> str:
    """What git says. UsageError with its complaint when it fails."""
    done = _try_git(root, *words, more=more)
    if done.returncode != 0:
        command = shlex.join(["git", "-C", str(root), *words])
        raise UsageError(f"'{command}' fails: {_last_line(done)}; have it succeed by hand first")
    return done.stdout.strip()


def _try_git(
    root: Path, *words: str, more: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if name not in _MISLEADING}
    return subprocess.run(
        ["git", "-C", str(root), *words],
        env={**kept, "LC_ALL": "C", **(more or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        start_new_session=True,  # Ctrl-C ends what is built, not the clearing up after it
    )


def _last_line(done: "subprocess.CompletedProcess[str]") -> str:
    return (done.stderr.strip() or f"exit {done.returncode}").splitlines()[-1]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
