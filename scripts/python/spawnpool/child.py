"""Programs that a run starts one after the other, and their end when the user ends the run."""
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

# A program asked to end gets this long to end its own children, then SIGKILL.
GRACE_SECONDS = 10


class Interruption:
    """While entered, SIGINT, SIGTERM and SIGHUP end the program under way instead of this process.

    `signal` is the first of them that came, or None. A second one does not wait for the program."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._child: subprocess.Popen[str] | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._previous[number] = signal.signal(number, self._interrupt)
        self._previous[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._kill)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def watch(self, child: "subprocess.Popen[str]") -> None:
        """From now on it is this process that a signal ends."""
        self._child = child
        if self.signal is not None:  # it came while the process was being started
            self._terminate()

    def unwatch(self) -> None:
        """The process is over."""
        self._child = None
        signal.alarm(0)

    def _interrupt(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is None:
            self.signal = number
            self._terminate()
        else:
            self._kill(number, None)

    def _terminate(self) -> None:
        if self._child is not None:
            self._child.terminate()
            signal.alarm(GRACE_SECONDS)

    def _kill(self, _number: int, _frame: FrameType | None) -> None:
        if self._child is not None:
            self._child.kill()


@dataclass(frozen=True)
class Ended:
    """A program's end. `fault` says how it failed to exit by itself, None where it did."""

    status: int
    output: str
    words: str  # what it wrote to stderr
    fault: str | None

    @property
    def last_words(self) -> str:
        """The last 20 lines of stderr as one, to put behind a message; "" without any."""
        tail = " | ".join(self.words.strip().splitlines()[-20:])
        return f"; stderr: {tail}" if tail else ""


def run_child(
    command: Sequence[str | Path], given: str, bound: float, interruption: Interruption
) -> Ended:
    """Runs a program with `given` as its stdin, for `bound` seconds at the most. OSError when it
    cannot be started."""
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    )
    interruption.watch(child)
    fault = None
    try:
        output, words = child.communicate(given, timeout=bound)
    except subprocess.TimeoutExpired:
        fault = f"did not end within {bound:.0f} s"
        output, words = _end(child)
    finally:
        interruption.unwatch()
    if fault is None and child.returncode < 0:
        fault = f"was ended by {signal.Signals(-child.returncode).name}"
    return Ended(child.returncode, output, words, fault)


def _end(child: "subprocess.Popen[str]") -> tuple[str, str]:
    for end in (child.terminate, child.kill):
        end()
        try:
            return child.communicate(timeout=GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    return "", ""
