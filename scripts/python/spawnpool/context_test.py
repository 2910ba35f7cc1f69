from pathlib import Path

import pytest

from spawnpool import context, paths
from spawnpool.errors import Unmeasured


def test_a_git_checkout_tells_its_revision() -> None:
    git = context._git()
    assert len(git["revision"]) == 40 and isinstance(git["dirty"], bool)


def test_no_git_checkout_is_told_with_a_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    with pytest.raises(Unmeasured, match="git: "):
        context._git()
    inside = paths.RESULTS  # a directory within another checkout
    monkeypatch.setattr(paths, "ROOT", inside)
    with pytest.raises(Unmeasured, match="no git checkout of its own"):
        context._git()


def test_a_missing_program_is_told_with_a_reason() -> None:
    with pytest.raises(Unmeasured, match="no-such-program is not installed"):
        context.program_output("no-such-program")


def test_the_build_tells_compiler_type_and_flags(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "CMakeCache.txt").write_text(
        "CMAKE_BUILD_TYPE:STRING=Release\nCMAKE_CXX_COMPILER:FILEPATH=/bin/echo\n"
        "CMAKE_CXX_FLAGS:STRING=-g\nCMAKE_CXX_FLAGS_RELEASE:STRING=-O3 -DNDEBUG\n"
    )
    monkeypatch.setenv("SPAWNPOOL_BUILD", str(tmp_path))
    compiler = context.build_compiler()
    assert compiler["build_type"] == "Release" and compiler["flags"] == "-g -O3 -DNDEBUG"
    assert "echo" in compiler["version"]
    monkeypatch.setenv("SPAWNPOOL_BUILD", str(tmp_path / "none"))
    with pytest.raises(Unmeasured, match="no CMakeCache.txt"):
        context.build_compiler()


def test_what_measures_is_told_with_what_is_measured() -> None:
    names = set(context.gather_context()["binaries"])
    assert {"spawnpool-server", "spawnpool-trial", "spawnpool-load", "spawnpool-syscalls"} <= names
