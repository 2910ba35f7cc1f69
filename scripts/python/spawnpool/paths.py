"""Where things lie in the project's tree."""
import os
import re
from pathlib import Path

from spawnpool.errors import UsageError

ROOT = Path(__file__).resolve().parents[3]
SUITES = ROOT / "scripts" / "suites"
RESULTS = ROOT / "results"
PLOTS = ROOT / "plots"


def known_suites() -> list[str]:
    """The names of the shipped suites."""
    return sorted(path.stem for path in SUITES.glob("*.json") if path.stem != "schema")


def build_dir() -> Path:
    """The build tree the binaries come from: SPAWNPOOL_BUILD, by default build/release."""
    return Path(os.environ.get("SPAWNPOOL_BUILD") or ROOT / "build" / "release").resolve()


def bin_dir() -> Path:
    """Where the build tree has its executables."""
    return build_dir() / "bin"


def binary(name: str) -> Path:
    """A built executable; a UsageError with the mend when it is not there."""
    path = bin_dir() / name
    if not os.access(path, os.X_OK):
        raise UsageError(
            f"{path} is missing: build it with 'cmake --preset release && "
            "cmake --build --preset release', or run scripts/bench.sh"
        )
    return path


def testing_binary(name: str) -> Path:
    """An executable that only a build with tests has; a UsageError with the mend without one."""
    path = build_dir() / "tests" / name
    if not os.access(path, os.X_OK):
        raise UsageError(
            f"{path} is missing: build it with 'cmake --preset release -DBUILD_TESTING=ON && "
            "cmake --build --preset release'"
        )
    return path


def peers() -> list[Path]:
    """The other servers that were built to be measured beside ours."""
    return sorted(bin_dir().glob("peer-*"))


def measured_files() -> list[Path]:
    """What measures and what is measured, as built: servers, the trial and its programs, the
    micro-benchmarks and libraries."""
    needed = [binary(f"spawnpool-{name}") for name in ("server", "trial", "load")]
    # Only suites that ask for them need these.
    asked = [bin_dir() / f"spawnpool-{name}" for name in ("syscalls", "micro")]
    built = [path for path in asked if path.exists()]
    return needed + built + peers() + sorted(build_dir().glob("lib/*.so"))


def version() -> str:
    """The project's version; CMakeLists.txt is its only source."""
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    found = re.search(r"project\(spawnpool\s+VERSION\s+([0-9.]+)", text)
    if found is None:
        raise UsageError("CMakeLists.txt states no project version: restore it")
    return found.group(1)
