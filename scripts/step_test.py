"""The steps of bench.sh and test.sh, which must not outlive the script that is told to end."""

import collections.abc
import contextlib
import os
import pathlib
import signal
import subprocess

import pytest

STEP = pathlib.Path(__file__).parent / "step.sh"
PATIENCE_S = 30


def heed_interrupts() -> None:
    """A shell cannot trap a signal that it found ignored, as a background job of a shell finds SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def script(text: str) -> "collections.abc.Iterator[subprocess.Popen[str]]":
    """Runs a script that sources step.sh; ended in any case."""
    with subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", f". '{STEP}'\n{text}"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heed_interrupts,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_step_leaves_its_exit_status() -> None:
    with script("step sh -c 'exit 3'; echo $step_status; step true; echo $step_status") as process:
        output, _ = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, output) == (0, "3\n0\n")


@pytest.mark.parametrize(
    "number, to_group, status",
    [
        (signal.SIGINT, True, 130),  # as Ctrl-C on a terminal does
        (signal.SIGINT, False, 130),
        (signal.SIGTERM, False, 143),
    ],
)
def test_a_signal_ends_the_step_with_all_it_started(
    number: signal.Signals, to_group: bool, status: int
) -> None:
    # The pipe is at its end once nobody who could write to it is left. The step's own child has begun
    # before it says so: a shell that is about to start one would not heed SIGINT.
    step = (
        "import subprocess as s; p = s.Popen(['sleep', '60']); print('begun', flush=True); p.wait()"
    )
    with script(f'step /usr/bin/python3 -c "{step}" 2>/dev/null; echo after') as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        (os.killpg if to_group else os.kill)(process.pid, number)
        output, _ = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, output) == (status, "")


def test_a_signal_that_comes_while_a_step_begins_ends_it_too() -> None:
    # The step itself sends it as early as can be, so that some come before its number is known.
    for _ in range(100):
        with script("step sh -c 'kill -INT $PPID; exec sleep 60'; echo after") as process:
            output, _ = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, output) == (130, "")
