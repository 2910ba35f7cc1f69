"""What is checked before a run starts, so that a mistake does not show an hour into it, and what may
not change while it runs."""
import select
import shutil
import subprocess

from spawnpool import paths
from spawnpool.documents import Json
from spawnpool.errors import UsageError

READY_SECONDS = 10
STOP_SECONDS = 10


class Build:
    """The binaries as they are now: a run that measures two builds compares neither."""

    def __init__(self) -> None:
        self._stamps = self._look()

    def check(self) -> None:
        """UsageError when the binaries are others than when this was made. Takes microseconds."""
        if self._look() != self._stamps:
            raise UsageError(
                f"{paths.build_dir()} was rebuilt during the run: trials of two builds do not "
                "compare; begin a new result"
            )

    @staticmethod
    def _look() -> dict[str, tuple[int, int, int]]:
        stats = {path.name: path.stat() for path in paths.measured_files()}
        return {name: (it.st_ino, it.st_size, it.st_mtime_ns) for name, it in stats.items()}


def check_driver(suite: Json) -> None:
    """UsageError when the program that sends the requests is not there."""
    if suite["driver"] == "builtin":
        paths.binary("spawnpool-load")
    elif shutil.which("wrk") is None:
        raise UsageError("wrk is not installed: run scripts/setup.sh, or apt-get install wrk")


def check_options(suite: Json) -> None:
    """Starts each of the project's own targets once, of whatever revision; UsageError when it refuses its
    options.

    Any other trouble is the target's, not the user's: its trials will tell."""
    server = paths.binary("spawnpool-server")
    for target in suite["targets"]:
        if "model" in target:
            options = ["--model", target["model"], "--port", "0", *target.get("options", [])]
            command = [str(server), *options]
        elif "revision" in target:
            command = target["command"]
        else:
            continue
        refusal = _refusal(command)
        if refusal is not None:
            raise UsageError(f"target '{target['name']}': {refusal}")


def _refusal(command: list[str]) -> str | None:
    """The last line of stderr of a server that exits 2, None for one that does not."""
    process = subprocess.Popen(
        # The server ends with this process, even when that is killed.
        ["setpriv", "--pdeathsig", "KILL", "--", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    try:
        # Readable at the ready line and at the end of a server that gave up.
        select.select([process.stdout], [], [], READY_SECONDS)
        process.terminate()
        _, words = process.communicate(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        return None
    finally:
        process.kill()
        process.wait()
    return (
        (words.strip() or "refused its options").splitlines()[-1]
        if process.returncode == 2
        else None
    )
