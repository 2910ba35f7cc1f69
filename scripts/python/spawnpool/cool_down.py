"""What earlier trials left in the kernel, awaited and told before the next one begins.

A target's listening socket, and all that waited in its backlog, ends with its process, whose end the
trial awaits. What may outlive it are connections that no process holds and that the kernel still closes
(orphans): these are awaited. TIME_WAIT lasts a minute and is only told: tens of thousands of them were not
seen to matter (README.md, Limits), and source addresses rotate, so that ports do not run out.
"""
import re
import time
from collections.abc import Callable
from pathlib import Path

from spawnpool.documents import Json
from spawnpool.errors import Unmeasured

BOUND_S = 2.0
INTERVAL_S = 0.01


class CoolDown:
    """Awaits, before each trial, that there are no more orphans than when this was made: other software
    of the machine has its own. `root` is where the kernel's files are, / but for tests, as are the clock
    (in seconds) and what passes the time."""

    def __init__(
        self,
        root: Path = Path("/"),
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._file, self._clock, self._pause = root / "proc/net/sockstat", clock, pause
        try:
            self._usual, _ = self._look()
        except Unmeasured:
            self._usual = 0

    def wait(self) -> Json:
        """Waits for BOUND_S at the most, and gives the `before` of a trial. Unmeasured where the kernel
        does not tell."""
        began = self._clock()
        while True:
            orphans, time_wait = self._look()
            waited = self._clock() - began
            settled = orphans <= self._usual
            if settled or waited >= BOUND_S:
                return {
                    "time_wait": time_wait,
                    "orphans": orphans,
                    "waited_s": round(waited, 3),
                    "settled": settled,
                }
            self._pause(INTERVAL_S)

    def _look(self) -> tuple[int, int]:
        """Orphans, and sockets in TIME_WAIT."""
        try:
            text = self._file.read_text()
        except OSError as error:
            raise Unmeasured(f"/proc/net/sockstat cannot be read: {error.strerror}") from error
        found = re.search(r"^TCP: .*\borphan (\d+) tw (\d+)\b", text, re.MULTILINE)
        if found is None:
            raise Unmeasured("/proc/net/sockstat does not count TCP's orphans and TIME_WAIT")
        return int(found.group(1)), int(found.group(2))
