"""The steps of bench.sh and test.sh, which must not outlive the script that is told to end."""

import os
import pathlib
import signal
import subprocess

import pytest

STEP = pathlib.Path(__file__).parent / "step.sh"
PATIENCE_S = 30


def script(text: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", f". '{STEP}'\n{text}"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


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
    # The pipe is at its end once nobody who could write to it is left.
    with script("step sh -c 'echo begun; sleep 1000; true'; echo after") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        (os.killpg if to_group else os.kill)(process.pid, number)
        output, _ = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, output) == (status, "")
