"""setup.sh against real package databases: this machine's, and others made with dpkg's own DPKG_ADMINDIR."""

import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

SETUP = pathlib.Path(__file__).parent / "setup.sh"


def run(
    *arguments: str,
    tools: pathlib.Path | None = None,
    before: tuple[str, ...] = (),
    script: pathlib.Path = SETUP,
    **env: str,
) -> subprocess.CompletedProcess[str]:
    path = {"PATH": str(tools)} if tools else {}
    return subprocess.run(
        [*before, "/usr/bin/bash", str(script), *arguments],
        env={**os.environ, "LC_ALL": "C", **path, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


def tools_without(*left_out: str, where: pathlib.Path) -> pathlib.Path:
    """A folder for PATH with the system's own tools, except those left out."""
    where.mkdir()
    for tool in pathlib.Path("/usr/bin").iterdir():
        if tool.name not in left_out:
            (where / tool.name).symlink_to(tool)
    return where


def database(where: pathlib.Path, version: str = "1", **states: str) -> str:
    """A dpkg database that knows the given packages only, each in the given state."""
    (where / "info").mkdir(parents=True)
    (where / "updates").mkdir()
    (where / "status").write_text(
        "".join(
            f"Package: {name.replace('_', '-')}\nStatus: {state}\nVersion: {version}\n"
            "Architecture: all\nMaintainer: nobody\nDescription: nothing\n\n"
            for name, state in states.items()
        )
    )
    return str(where)


def one_line(text: str) -> str:
    assert text.startswith("setup.sh: ") and text.count("\n") == 1, text
    return text


def test_does_nothing_when_all_is_there(tmp_path: pathlib.Path) -> None:
    tools = tools_without("apt-get", "sudo", where=tmp_path / "bin")
    (tools / "apt-get").symlink_to("/usr/bin/false")  # any call would fail
    for what in ((), ("bench",), ("test",)):
        result = run(*what, tools=tools)
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_names_the_packages_on_a_system_without_apt(tmp_path: pathlib.Path) -> None:
    result = run(tools=tools_without("apt-get", where=tmp_path / "bin"))
    assert result.returncode == 2
    line = one_line(result.stderr)
    assert "no Debian or Ubuntu" in line and " g++ " in line and " wrk " in line
    assert "valgrind" not in line
    line = run("test", tools=tmp_path / "bin").stderr
    assert "valgrind" in line and " g++ " in line


def test_gives_the_command_to_whoever_may_not_install(tmp_path: pathlib.Path) -> None:
    # A removed package whose configuration is kept counts as missing.
    admin = database(
        tmp_path / "dpkg", wrk="deinstall ok config-files", cmake="install ok installed"
    )
    tools = tools_without("sudo", where=tmp_path / "bin")
    unprivileged = (
        ("/usr/bin/setpriv", "--reuid=65534", "--clear-groups") if os.geteuid() == 0 else ()
    )
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:  # pytest's own folders are closed to other users
        if parent == pathlib.Path(tempfile.gettempdir()):
            break
        if os.stat(parent).st_uid == os.geteuid():
            parent.chmod(0o755)
    # The tree itself may lie where only its owner comes, such as in root's home.
    script = pathlib.Path(shutil.copy(SETUP, tmp_path))
    result = run(tools=tools, before=unprivileged, script=script, DPKG_ADMINDIR=admin)
    assert result.returncode == 2 and result.stdout == ""
    line = one_line(result.stderr)
    assert "run as root: apt-get update && apt-get install" in line
    assert " wrk " in line and " cmake " not in line


@pytest.mark.parametrize(
    "version, is_missing", [("1:14.0.0-1ubuntu1.1", False), ("1:14.0.6-12", True)]
)
def test_the_libraries_of_clang_may_come_with_it(
    tmp_path: pathlib.Path, version: str, is_missing: bool
) -> None:
    admin = database(tmp_path / "dpkg", version, libclang_common_14_dev="install ok installed")
    tools = tools_without("apt-get", "sudo", where=tmp_path / "bin")
    (tools / "apt-get").symlink_to("/usr/bin/false")
    result = run("test", tools=tools, DPKG_ADMINDIR=admin, TMPDIR=str(tmp_path))
    assert ("libclang-rt-14-dev" in result.stdout + result.stderr) == is_missing


@pytest.mark.skipif(
    os.geteuid() != 0
    and subprocess.run(["unshare", "--map-root-user", "true"], capture_output=True).returncode != 0,
    reason="needs root, or a kernel that lets users have namespaces of their own",
)
def test_a_failing_apt_gives_one_line(tmp_path: pathlib.Path) -> None:
    admin = database(tmp_path / "dpkg")
    for folder in ("lists/partial", "archives/partial", "parts"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "sources.list").write_text(f"deb [trusted=yes] file:{tmp_path}/nowhere ./\n")
    (tmp_path / "apt.conf").write_text(
        f'Dir::State::status "{admin}/status";\n'
        f'Dir::State::lists "{tmp_path}/lists";\n'
        f'Dir::Cache "{tmp_path}";\n'
        f'Dir::Cache::archives "{tmp_path}/archives";\n'
        f'Dir::Etc::sourcelist "{tmp_path}/sources.list";\n'
        f'Dir::Etc::sourceparts "{tmp_path}/parts";\n'
        'Debug::NoLocking "true";\n'
        'APT::Sandbox::User "";\n'
    )
    result = run(
        before=() if os.geteuid() == 0 else ("/usr/bin/unshare", "--map-root-user"),
        DPKG_ADMINDIR=admin,
        APT_CONFIG=str(tmp_path / "apt.conf"),
        TMPDIR=str(tmp_path),
    )
    assert result.returncode == 1
    assert "setup.sh: installs wrk: generates the load with --driver wrk\n" in result.stdout
    line = one_line(result.stderr)
    assert "apt-get failed: Failed to fetch" in line and "nowhere" in line and "try again" in line


@pytest.mark.parametrize("arguments", [("all",), ("bench", "test"), ("--force",), ("",)])
def test_refuses_an_unknown_argument(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.returncode == 2 and result.stdout == ""
    assert "say 'bench' or 'test'" in one_line(result.stderr)


def test_help() -> None:
    result = run("--help")
    assert result.returncode == 0 and result.stdout.startswith("Usage: scripts/setup.sh")
