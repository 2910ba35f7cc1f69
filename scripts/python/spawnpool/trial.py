"""Runs spawnpool-trial for one planned trial, and ends it when the user ends the run."""
import json
import signal
import subprocess
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from spawnpool.context import utc_now
from spawnpool.documents import Json
from spawnpool.durations import seconds
from spawnpool.errors import UsageError
from spawnpool.results import InvalidResult, ResultSchema

# A trial asked to end gets this long to end its own children, then SIGKILL.
GRACE_SECONDS = 10
# Beside its warm-up and window a trial starts and stops its target for checks and for accounting. It
# bounds each of these waits itself; this bound is for a trial that hangs all the same.
OVERHEAD_SECONDS = 120
STARTS = 4


class Interruption:
    """While entered, SIGINT, SIGTERM and SIGHUP end the trial under way instead of this process.

    `signal` is the first of them that came, or None. A second one does not wait for the trial."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._trial: subprocess.Popen[str] | None = None
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

    def watch(self, trial: "subprocess.Popen[str]") -> None:
        """From now on it is this process that a signal ends."""
        self._trial = trial
        if self.signal is not None:  # it came while the process was being started
            self._terminate()

    def unwatch(self) -> None:
        """The trial is over."""
        self._trial = None
        signal.alarm(0)

    def _interrupt(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is None:
            self.signal = number
            self._terminate()
        else:
            self._kill(number, None)

    def _terminate(self) -> None:
        if self._trial is not None:
            self._trial.terminate()
            signal.alarm(GRACE_SECONDS)

    def _kill(self, _number: int, _frame: FrameType | None) -> None:
        if self._trial is not None:
            self._trial.kill()


def run_trial(
    binary: Path, spec: Json, schema: ResultSchema, interruption: Interruption
) -> Json | None:
    """Runs one trial and returns its result, or None when the user interrupted it.

    A trial that crashes, hangs or prints no TrialResult of its own spec gives a failed one with
    the reason `trial-crashed`. UsageError when the trial refuses its spec."""
    started_at = utc_now()
    bound = OVERHEAD_SECONDS + sum(seconds(spec[key]) for key in ("warmup", "duration", "timeout"))
    bound += STARTS * sum(seconds(spec["limits"].get(key, "0s")) for key in ("ready", "stop"))
    trial = subprocess.Popen(
        [binary, "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    )
    interruption.watch(trial)
    hung = False
    try:
        output, words = trial.communicate(json.dumps(spec), timeout=bound)
    except subprocess.TimeoutExpired:
        hung = True
        output, words = _end(trial)
    finally:
        interruption.unwatch()

    if trial.returncode == 2:
        raise UsageError((words.strip() or "spawnpool-trial refused its spec").splitlines()[-1])
    if hung:
        fault = f"did not end within {bound:.0f} s"
    elif trial.returncode not in (0, 1):
        fault = _ending(trial.returncode)
    else:
        try:
            result: Json = json.loads(output)
            schema.check_trial(result)
            _check_echo(result, spec)
            # Ctrl-C may reach the target as well: what failed then did not fail by itself.
            disturbed = interruption.signal is not None and result["status"] != "valid"
            return None if disturbed else result
        except (ValueError, RecursionError, InvalidResult) as error:
            fault = f"printed no TrialResult of its spec: {error}"
    if interruption.signal is not None:
        return None
    tail = " | ".join(words.strip().splitlines()[-20:])
    message = f"spawnpool-trial {fault}" + (f"; stderr: {tail}" if tail else "")
    return schema.failed_trial(spec, started_at, "trial-crashed", message)


def _end(trial: "subprocess.Popen[str]") -> tuple[str, str]:
    for end in (trial.terminate, trial.kill):
        end()
        try:
            return trial.communicate(timeout=GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    return "", ""


def _ending(status: int) -> str:
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"exited {status}"


def _check_echo(result: Json, spec: Json) -> None:
    """Guards the plan: a result must name the trial that was asked for."""
    expected = {"target": spec["target"]["name"], "scenario": spec["scenario"]["name"]}
    expected.update({key: spec[key] for key in ("point", "block", "position", "seed", "driver")})
    for key, value in expected.items():
        if result[key] != value:
            raise InvalidResult(f"{key} is {result[key]!r} where {value!r} was asked")
