"""What spawnpool-load counts is what servers count, with answers of every kind, right and wrong."""
import subprocess
from pathlib import Path

import pytest

from spawnpool import paths
from spawnpool.documents import Json
from spawnpool.generators import load_command, run_load
from spawnpool.histogram import decode
from spawnpool.local_server import LocalServer

BOUND_S = 60.0  # within which a generator has ended that was to run for a fraction of a second
PATIENT = ("--timeout", "20s")  # nothing times out on a machine that is busy with other things

# An answer of these is none; the server closes or resets, or the client has to give up.
WRONG = {
    "truncated-head": ("protocol",),
    "truncated-body": ("protocol",),
    "truncated-chunk": ("protocol",),
    "no-last-chunk": ("protocol",),
    "length-too-long": ("timeout",),
    "length-no-number": ("protocol",),
    "length-beyond-64-bits": ("protocol",),
    "two-lengths": ("protocol",),
    "chunk-no-size": ("protocol",),
    "garbage": ("protocol",),
    "garbage-bytes": ("protocol",),
    "status-no-number": ("protocol",),
    "endless-head": ("protocol",),
    "endless-head-line": ("protocol",),
    "endless-continue": ("protocol", "timeout"),
    "reset-in-body": ("read",),
    "reset-at-once": ("read",),
    "close-at-once": ("read",),
    "no-answer": ("timeout",),
    "endless-body": ("timeout",),
}
RIGHT = {
    "plain": "2xx",
    "byte-by-byte": "2xx",
    "chunked": "2xx",
    "chunks-of-a-byte": "2xx",
    "informational": "2xx",
    "no-content": "2xx",
    "not-modified": "3xx",
    "until-close": "2xx",
    "close-announced": "2xx",
    "http-1.0": "2xx",
    "no-reason": "2xx",
}
LOOPS: dict[str, list[str]] = {"closed": [], "open": ["--rate", "200"]}


def _bad_server(mode: str, every: int) -> LocalServer:
    return LocalServer(
        [paths.testing_binary("spawnpool-bad-server"), "--mode", mode, "--every", every]
    )


def _reconciled(report: Json) -> Json:
    """The counts, which add up."""
    load = report["load"]
    counts: Json = load["counts"]
    classes = ("connect", "read", "write", "timeout", "protocol")
    assert counts["sent"] == counts["answered"] + counts["failed"] + counts["unfinished"]
    assert counts["failed"] == sum(load["errors"][name] for name in classes)
    assert set(load["error_examples"]) == {n for n, count in load["errors"].items() if count > 0}
    return counts


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("mode", WRONG)
def test_wrong_answers_are_errors(mode: str, loop: str) -> None:
    times_out = "timeout" in WRONG[mode]
    with _bad_server(mode, every=3) as server:
        report = run_load(
            server.url,
            *("--connections", 4, "--duration", "300ms"),
            *(("--timeout", "100ms") if times_out else PATIENT),
            *LOOPS[loop],
            within_s=BOUND_S,
        )
        told = server.stop()["counters"]
    counts = _reconciled(report)
    assert told["special"] > 0
    assert counts["failed"] == sum(report["load"]["errors"][name] for name in WRONG[mode])
    # The server cannot know what became of a request whose client has gone.
    assert counts["answered"] <= told["plain"]
    assert told["special"] <= counts["failed"] + counts["unfinished"]
    if not times_out:
        assert counts["unfinished"] == 0
        assert counts["failed"] == told["special"] and counts["answered"] == told["plain"]
        assert counts["sent"] == told["requests"]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("mode", RIGHT)
def test_unusual_answers_are_answers(mode: str, loop: str) -> None:
    expected = ["--expect-bytes", "0" if mode in ("no-content", "not-modified") else "13"]
    with _bad_server(mode, every=1) as server:
        report = run_load(
            server.url,
            *("--connections", 4, "--duration", "300ms", *expected, *PATIENT),
            *LOOPS[loop],
            within_s=BOUND_S,
        )
        told = server.stop()["counters"]
    counts = _reconciled(report)
    assert counts["failed"] == counts["unfinished"] == 0, report["load"]["error_examples"]
    assert report["load"]["errors"]["status"] == 0
    assert 0 < counts["answered"] == told["requests"] == told["special"]
    assert report["load"]["status_classes"][RIGHT[mode]] == counts["answered"]


@pytest.mark.parametrize("mode", ["length-too-short", "bare-newlines"])
def test_ambiguous_answers_are_counted_once(mode: str) -> None:
    """Bytes behind an answer belong to no request, and a line may be taken to end without a CR."""
    with _bad_server(mode, every=1) as server:
        report = run_load(
            server.url, *("--connections", 4, "--duration", "300ms"), *PATIENT, within_s=BOUND_S
        )
        told = server.stop()["counters"]
    counts = report["load"]["counts"]
    assert counts["sent"] == counts["answered"] + counts["failed"] == told["requests"] > 0
    if mode == "length-too-short":
        assert report["load"]["errors"]["protocol"] > 0
    else:
        _reconciled(report)


# Four requests, each on a connection of its own, that is at rest when the server says more.
AT_REST = {
    "closed": ("--think-time", "10s"),
    "open": ("--rate", 4, "--arrivals", "uniform"),
}


@pytest.mark.parametrize("loop", AT_REST)
@pytest.mark.parametrize("mode, errors", [("unasked", 4), ("idle-timeout", 0)])
def test_what_is_said_unasked_is_an_error_but_for_an_idle_timeout(
    mode: str, errors: int, loop: str
) -> None:
    with _bad_server(mode, every=1) as server:
        report = run_load(
            server.url,
            *("--connections", 4, "--duration", "1s", *AT_REST[loop], *PATIENT),
            within_s=BOUND_S,
        )
    load = report["load"]
    assert load["counts"]["answered"] == load["counts"]["sent"] == 4
    assert load["errors"] == {name: errors * (name == "protocol") for name in load["errors"]}
    told = {"protocol": "bytes that no request had asked for"}
    assert load["error_examples"] == (told if errors > 0 else {})


@pytest.mark.parametrize("mode", ["close-announced", "http-1.0", "until-close", "truncated-body"])
def test_a_connection_that_the_server_closed_is_a_reconnect(mode: str) -> None:
    with _bad_server(mode, every=2) as server:
        load = run_load(
            server.url,
            *("--connections", 4, "--duration", "300ms", *PATIENT),
            within_s=BOUND_S,
        )["load"]
    assert load["connections_opened"] - load["reconnects"] == 4 < load["connections_opened"]


def test_a_connection_that_has_had_its_requests_is_no_reconnect() -> None:
    with _bad_server("plain", every=1) as server:
        load = run_load(
            server.url,
            *("--connections", 4, "--duration", "300ms", *PATIENT),
            *("--requests-per-connection", 1),
            within_s=BOUND_S,
        )["load"]
    assert load["connections_opened"] == load["counts"]["sent"] > load["reconnects"] == 0


def test_a_server_that_closes_each_connection_is_no_end(tmp_path: Path) -> None:
    with _bad_server("close-after-accept", every=1) as server:
        command = load_command(
            server.url, *("--connections", 4, "--duration", "300ms", "--timeout", "100ms")
        )
        done = subprocess.run(command, capture_output=True, text=True, timeout=BOUND_S)
        told = server.stop()["counters"]
    # No answer at all: an invalid measurement, or a refusal before it.
    assert done.returncode in (2, 3), done.stderr
    assert told["requests"] == 0


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--requests-per-connection", 1),
        ("--requests-per-connection", 7),
        ("--pipeline", 8),
        ("--think-time", "1ms"),
        ("--rate", 500),
        ("--rate", 200, "--requests-per-connection", 1),
        ("--burst", 50, "--burst-every", "100ms"),
    ],
    ids=lambda options: " ".join(map(str, options)) or "kept",
)
@pytest.mark.parametrize("model", ["thread-per-connection", "worker-pool"])
def test_our_servers_count_the_same(model: str, options: tuple[object, ...]) -> None:
    command = [paths.binary("spawnpool-server"), "--model", model, "--port", "0"]
    with LocalServer(command) as server:
        report = run_load(
            server.url + "plaintext",
            *("--connections", 8, "--duration", "500ms", *options, *PATIENT),
            within_s=BOUND_S,
        )
        told = server.stop()["counters"]
    counts = _reconciled(report)
    assert counts["failed"] == counts["unfinished"] == 0, report["load"]["error_examples"]
    assert 0 < counts["answered"] == counts["sent"] == told["requests"]
    assert decode(report["load"]["latency_histogram"]).total == counts["sent"]
    # One connection more: the generator looks first whether there is a server.
    assert told["accepted"] - report["load"]["connections_opened"] in (0, 1)


def test_delayed_answers_are_counted_by_both() -> None:
    command = [paths.testing_binary("spawnpool-delay-server"), "--delay", "20ms"]
    with LocalServer(command) as server:
        report = run_load(
            server.url,
            *("--connections", 8, "--duration", "300ms", "--pipeline", 4, *PATIENT),
            within_s=BOUND_S,
        )
        told = server.stop()["counters"]
    counts = _reconciled(report)
    assert 0 < counts["sent"] == counts["answered"] == told["requests"] == told["answers"]
    assert told["lost"] == 0


def test_unfinished_requests_are_counted_and_have_a_latency() -> None:
    command = [paths.testing_binary("spawnpool-delay-server"), "--delay", "10s"]
    with LocalServer(command) as server:
        report = run_load(
            server.url,
            *("--connections", 4, "--duration", "200ms", "--timeout", "400ms"),
            within_s=BOUND_S,
        )
        told = server.stop()["counters"]
    counts = _reconciled(report)
    assert counts["answered"] == 0
    assert counts["sent"] == told["requests"] > 0 and told["answers"] == 0
    assert decode(report["load"]["latency_histogram"]).total == counts["sent"]
    assert report["load"]["latency_us"]["max"] >= 400_000
