"""The command spawnpool-load as its users meet it: mistakes, exit statuses, signals, what it prints."""
import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spawnpool import paths
from spawnpool.documents import Json
from spawnpool.local_server import LocalServer, free_port

BOUND_S = 60.0


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer([paths.binary("spawnpool-answerer")]) as started:
        yield started


def _run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [str(paths.binary("spawnpool-load")), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=BOUND_S)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((), "URL is required"),
        (("URL", "--connections", 0), "--connections"),
        (("URL", "--duration", "5"), "--duration"),
        (("URL", "--duration", "25h"), "--duration has to be 1ms to 24h"),
        (("URL", "--timeout", "2h"), "--timeout has to be 1ms to 1h"),
        (("URL", "--no-such-option"), "--no-such-option"),
        (("URL", "--rate", 10, "--burst", 2, "--burst-every", "1s"), "two kinds of arrivals"),
        (("URL", "--burst", 2), "--burst and --burst-every belong together"),
        (("URL", "--rate", 10, "--think-time", "1s"), "--think-time is for the closed loop"),
        (("URL", "--cpus", "0-"), "--cpus: '0-' is no list of CPUs"),
        (("URL", "--cpus", 1023), "may not run on CPU 1023"),
        (("URL", "--weights", "1,2"), "--weights: give one for each URL, there are 1"),
        (("URL", "--weights", 0), "--weights: each has to be above 0"),
        (("URL", "http://127.0.0.1:1/"), "is of another server"),
        (("URL", "--fail-if", "p98>1ms"), "p98>1ms"),
        (("URL", "--saturation", "p99<fast"), "p99<fast"),
        (("URL", "--source-addresses", "nowhere"), "--source-addresses: 'nowhere'"),
        (("URL", "--source-addresses", "192.0.2.1"), "cannot connect from 192.0.2.1: "),
        (("URL", "--body-file", "/no/such/file"), "--body-file: cannot read '/no/such/file'"),
        (("URL", "--json", "/no/such/folder/x"), "--json: cannot write '/no/such/folder/x'"),
        (("ftp://127.0.0.1/",), "ftp://127.0.0.1/"),
        (("http://no.such.host.invalid/",), "cannot find the host 'no.such.host.invalid'"),
        (("CLOSED",), "is the server running?"),
    ],
    ids=lambda value: None if isinstance(value, str) else " ".join(map(str, value)) or "nothing",
)
def test_a_mistake_is_told_in_one_line(
    arguments: tuple[object, ...], words: str, server: LocalServer
) -> None:
    urls = {"URL": server.url, "CLOSED": f"http://127.0.0.1:{free_port()}/"}
    done = _run(*(urls.get(str(argument), argument) for argument in arguments))
    assert done.returncode == 2
    assert done.stdout == ""
    assert words in done.stderr
    assert done.stderr.startswith("spawnpool-load: ") and done.stderr.count("\n") == 1


def test_a_condition_that_holds_fails_the_command(server: LocalServer) -> None:
    options = (server.url, "--duration", "100ms", "--connections", 1)
    assert _run(*options, "--fail-if", "p50>1h", "--fail-if", "errors>0").returncode == 0
    done = _run(*options, "--fail-if", "p50>0us", "--fail-if", "throughput>=1")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "spawnpool-load: failed: p50>0us",
        "spawnpool-load: failed: throughput>=1",
    ]


def test_no_answer_at_all_is_no_measurement() -> None:
    command = [paths.testing_binary("spawnpool-bad-server"), "--mode", "no-answer"]
    with LocalServer(command) as silent:
        options = (silent.url, "--duration", "100ms", "--timeout", "100ms", "--connections", 2)
        done = _run(*options, "--json", "-", "--fail-if", "errors>0")
    assert done.returncode == 3, "and no condition is judged"
    report = json.loads(done.stdout)
    assert [reason["code"] for reason in report["validity"]["reasons"]] == ["no-answer"]
    assert not report["validity"]["valid"]
    assert "  invalid: no-answer: not one request was answered in the window\n" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_the_report_so_far(
    number: signal.Signals, server: LocalServer
) -> None:
    command = [str(paths.binary("spawnpool-load")), server.url, "--duration", "1h"]
    command += ["--connections", "2", "--events", "--json", "-", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            while json.loads(process.stdout.readline())["event"] != "window-begin":
                pass
            process.send_signal(number)
            words, _ = process.communicate(timeout=BOUND_S)
        finally:
            process.kill()
    assert process.returncode == 128 + number
    report = json.loads(words.strip().splitlines()[-1])
    assert "interrupted" in [reason["code"] for reason in report["validity"]["reasons"]]
    assert not report["validity"]["valid"]
    assert 0 <= report["load"]["window_s"] < 3600


def test_a_terminal_sees_how_far_it_is(server: LocalServer) -> None:
    ours, its = pty.openpty()
    command = [str(paths.binary("spawnpool-load")), server.url, "--connections", "2"]
    command += ["--duration", "1200ms"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=its, text=True) as process:
        os.close(its)
        seen = _until_closed(ours)
        summary, _ = process.communicate(timeout=BOUND_S)
    assert process.returncode == 0
    assert re.search(r"\r1 s: [0-9]+ answers per second, 0 errors", seen), seen
    assert seen.endswith("\r\x1b[K"), "the line is wiped at the end"
    assert "answers per second over 1.2 s, 2 connections" in summary


def _until_closed(terminal: int) -> str:
    seen = b""
    deadline = time.monotonic() + BOUND_S
    while time.monotonic() < deadline and select.select([terminal], [], [], BOUND_S)[0]:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # the other side is closed
            break
        seen += part
    os.close(terminal)
    return seen.decode()


def test_the_summary_tells_what_was_left_out(server: LocalServer) -> None:
    done = _run(server.url, "--warmup", "100ms", "--duration", "200ms", "--connections", 2)
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert re.match(r"[0-9]+ answers per second over 0.2 s, 2 connections$", lines[0])
    assert re.match(r"  answer( +[0-9]+){6}$", lines[2])
    warmup = r"  not among them, from the warm-up of 0.1 s before: [1-9][0-9]* answers, 0 errors"
    assert any(re.match(warmup, line) for line in lines), done.stdout


def test_a_file_takes_the_report(server: LocalServer, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    options = ("--duration", "100ms", "--connections", 1, "--json", file, "--quiet")
    done = _run(server.url, *options)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert json.loads(file.read_text())["load"]["counts"]["answered"] > 0


def test_saturation_is_what_the_server_can_do() -> None:
    """Each of four connections has an answer every 20 ms: 200 requests/s, and above that a queue."""
    command = [paths.testing_binary("spawnpool-delay-server"), "--delay", "20ms"]
    with LocalServer(command) as delaying:
        done = _run(
            delaying.url,
            *("--connections", 4, "--rate", 50, "--arrivals", "uniform", "--duration", "500ms"),
            *("--saturation", "p99<150ms", "--json", "-"),
        )
    assert done.returncode in (0, 3), done.stderr
    report: Json = json.loads(done.stdout)
    saturation = report["saturation"]
    steps = saturation["steps"]
    assert saturation["bound"] == "p99<150ms"
    assert [step["rate"] for step in steps[:2]] == [50, 100]
    assert saturation["rate_rps"] == max(step["rate"] for step in steps if step["holds"])
    # At 280/s the last request of the half second waits for 0.2 s.
    assert all(step["reason"] for step in steps if step["rate"] >= 280)
    assert not any(step["holds"] for step in steps if step["rate"] >= 280)
    assert 50 <= saturation["rate_rps"] < 280
    assert f"highest rate: {saturation['rate_rps']:.0f} per second\n" in done.stderr
    assert report["load"]["offered_rps"] == pytest.approx(saturation["rate_rps"], rel=0.05)
