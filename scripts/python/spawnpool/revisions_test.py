"""Real repositories with real builds by CMake and Ninja; what they build is a copied file."""
import os
from pathlib import Path

import pytest

from spawnpool.child import Interruption
from spawnpool.errors import UsageError
from spawnpool.revisions import KEPT, Built, build, cache, forget_old, resolve
from spawnpool.testing import git, repository


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    """One commit on the branch main, whose server is the file `source`, "one"."""
    root = repository(tmp_path / "repository", "cp ../../source bin/spawnpool-server")
    _commit(root, "one")
    return root


def _commit(root: Path, content: str) -> str:
    (root / "source").write_text(content)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "-m", content)
    return git(root, "rev-parse", "HEAD")


def _built(root: Path, ref: str) -> Built:
    with Interruption() as interruption:
        built = build(root, resolve(root, ref), interruption)
    assert built is not None
    return built


def _worktrees(root: Path) -> int:
    return git(root, "worktree", "list", "--porcelain").count("worktree ")


def test_a_revision_may_be_called_by_each_of_its_names(root: Path) -> None:
    one = git(root, "rev-parse", "HEAD")
    two = _commit(root, "two")
    git(root, "tag", "-a", "v1", "-m", "annotated", one)
    for ref, commit in (("main", two), ("HEAD~1", one), ("v1", one), (one[:8], one), (".", two)):
        revision = resolve(root, ref)
        assert (revision.ref, revision.commit, revision.dirty) == (ref, commit, False)
        assert revision.source == commit


def test_the_working_tree_is_built_as_it_is_and_left_so(root: Path) -> None:
    head = git(root, "rev-parse", "HEAD")
    (root / "source").write_text("changed")
    (root / "new file").write_text("not known to git")
    before = git(root, "status", "--porcelain")
    revision = resolve(root, ".")
    assert (revision.commit, revision.dirty) == (head, True) and revision.source != head
    assert git(root, "show", f"{revision.source}:new file") == "not known to git"
    assert _built(root, ".").server.read_text() == "changed"
    assert git(root, "status", "--porcelain") == before
    assert resolve(root, ".") == revision  # and so is built once


@pytest.mark.parametrize("ref", ["nobody", "--all", "HEAD:source", ""])
def test_an_unknown_revision(root: Path, ref: str) -> None:
    with pytest.raises(UsageError, match=f"unknown revision '{ref}': name a commit, branch or tag"):
        resolve(root, ref)


def test_no_repository_of_its_own(root: Path, tmp_path: Path) -> None:
    (root / "below").mkdir()
    with pytest.raises(UsageError, match="below is no git repository .it lies within another"):
        resolve(root / "below", "main")
    with pytest.raises(UsageError, match="is no git repository .*: clone the project with git"):
        resolve(tmp_path, "main")


def test_a_hook_of_git_leads_nobody_elsewhere(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert _built(root, "main").server.read_text() == "one"


def test_a_revision_is_built_once_and_leaves_no_worktree(
    root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    _commit(root, "two")
    built = _built(root, "HEAD~1")
    assert built.server.read_text() == "one" and built.to_json()["dirty"] is False
    assert capfd.readouterr().err == f"spawnpool: builds HEAD~1 ({built.revision})\n"
    assert _worktrees(root) == 1 and not (built.server.parent / "tree").exists()
    assert _built(root, "main~1").sha256 == built.sha256
    assert capfd.readouterr().err == ""
    built.server.write_text("changed by hand")
    assert _built(root, "HEAD~1") == built and built.server.read_text() == "one"


def test_the_worktree_of_a_process_that_was_killed_is_replaced(root: Path) -> None:
    revision = resolve(root, "main")
    tree = cache(root) / revision.source / "tree"
    git(root, "worktree", "add", "--quiet", "--detach", str(tree), "main")
    (tree / "source").write_text("changed by hand")
    assert _built(root, "main").server.read_text() == "one"
    assert _worktrees(root) == 1 and not tree.exists()


def test_what_does_not_build_is_told_with_the_compilers_words(tmp_path: Path) -> None:
    root = repository(tmp_path / "repository", "c++ -c ../../broken.cpp")
    (root / "broken.cpp").write_text("int main() { return nothing; }\n")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "-m", "broken")
    with pytest.raises(UsageError) as error:
        _built(root, "main")
    commit = git(root, "rev-parse", "main")
    log = cache(root) / commit / "build.log"
    assert str(error.value).startswith(f"main ({commit[:10]}) does not build: ")
    assert "broken.cpp:1:21: error: " in str(error.value) and f"in {log};" in str(error.value)
    assert "broken.cpp:1:21: error: " in log.read_text()
    assert _worktrees(root) == 1


def test_so_many_servers_are_kept(root: Path) -> None:
    commits = [_commit(root, str(number)) for number in range(KEPT + 3)]
    for age, commit in enumerate(reversed(commits)):
        entry = cache(root) / commit
        entry.mkdir(parents=True)
        os.utime(entry, (1000 - age, 1000 - age))
    forget_old(root, {commits[0]})
    assert {entry.name for entry in cache(root).iterdir()} == {commits[0], *commits[3:]}
