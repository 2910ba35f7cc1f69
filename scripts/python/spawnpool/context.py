"""The circumstances of a run: machine, revision, build and versions, as a result records them."""
import hashlib
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import scipy

from spawnpool import paths
from spawnpool.documents import Json
from spawnpool.errors import Unmeasured
from spawnpool.machine import machine


def utc_now() -> str:
    """The time as results write it: ISO 8601, UTC, milliseconds."""
    now = datetime.now(timezone.utc)
    return now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z"


def gather_context() -> Json:
    """The `context` of a result. What cannot be told is null, with the reason in `unmeasured`."""
    unmeasured: dict[str, str] = {}

    def told(name: str, tell: Callable[[], Any]) -> Any:
        try:
            return tell()
        except Unmeasured as reason:
            unmeasured[name] = str(reason)
            return None

    return {
        "date": utc_now(),
        "hostname": platform.node(),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu_model": told("cpu_model", _cpu_model),
        "cpus_online": os.cpu_count(),
        "affinity": sorted(os.sched_getaffinity(0)),
        "smt": told("smt", _smt),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "load_average": list(os.getloadavg()),
        **machine(told),
        "git": told("git", _git),
        "compiler": told("compiler", build_compiler),
        "binaries": {path.name: _sha256(path) for path in paths.measured_files()},
        "versions": {
            "spawnpool": paths.version(),
            "python": platform.python_version(),
            "scipy": scipy.__version__,
            "wrk": told("versions.wrk", wrk_version),
            **{
                path.name: told(
                    f"versions.{path.name}", partial(program_output, str(path), "--version")
                )
                for path in paths.peers()
            },
        },
        "unmeasured": unmeasured,
    }


def program_output(*command: str) -> str:
    """What a program prints. Unmeasured when it is not there, fails without a word on stdout, or takes
    more than 20 s."""
    if shutil.which(command[0]) is None:
        raise Unmeasured(f"{command[0]} is not installed")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unmeasured(f"{command[0]} gave no answer in {error.timeout:.0f} s") from error
    # wrk -v exits 1 after its version: what was printed counts.
    if done.returncode != 0 and not done.stdout:
        raise Unmeasured(f"{command[0]}: {done.stderr.strip()[:200] or done.returncode}")
    return done.stdout.strip()


def _cpu_model() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    if found is None:
        raise Unmeasured("/proc/cpuinfo names no model")
    return found.group(1)


def _smt() -> bool:
    try:
        return Path("/sys/devices/system/cpu/smt/active").read_text().strip() == "1"
    except OSError as error:
        raise Unmeasured("the kernel does not tell whether SMT is active") from error


def _git() -> Json:
    git = ("git", "-C", str(paths.ROOT))
    top, _, revision = program_output(*git, "rev-parse", "--show-toplevel", "HEAD").partition("\n")
    if Path(top) != paths.ROOT:
        raise Unmeasured("the project is no git checkout of its own")
    return {"revision": revision, "dirty": program_output(*git, "status", "--porcelain") != ""}


def build_compiler() -> Json:
    """Compiler, build type and flags of the build. Unmeasured when its cache does not tell."""
    try:
        cache = (paths.build_dir() / "CMakeCache.txt").read_text(encoding="utf-8")
    except OSError as error:
        raise Unmeasured("the build directory has no CMakeCache.txt") from error

    def entry(name: str) -> str:
        found = re.search(rf"^{name}:[A-Z]+=(.*)$", cache, re.MULTILINE)
        return found.group(1) if found else ""

    build_type = entry("CMAKE_BUILD_TYPE")
    flags = f"{entry('CMAKE_CXX_FLAGS')} {entry(f'CMAKE_CXX_FLAGS_{build_type.upper()}')}"
    return {
        "version": program_output(entry("CMAKE_CXX_COMPILER"), "--version").partition("\n")[0],
        "build_type": build_type,
        "flags": flags.strip(),
    }


def wrk_version() -> str:
    """Unmeasured without wrk."""
    return program_output("wrk", "-v").partition("\n")[0].partition(" Copyright")[0]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
