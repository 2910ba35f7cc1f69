"""Counts of our servers under a fixed load by valgrind, which is independent of the trial."""
import json
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from spawnpool import paths
from spawnpool.suite import load_suite

CONNECTIONS = 10
REQUESTS = 20
PATIENCE = 60.0  # seconds; valgrind is slow and a test machine may be busy
REQUEST = b"GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
MOST_INSTRUCTIONS = 2500  # of user code, for a request on a kept connection
HEAP_USAGE = re.compile(r"total heap usage: ([0-9,]+) allocs, [0-9,]+ frees, ([0-9,]+) bytes")


def _threads(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("Threads:")[1].split()[0])


def _await_threads(pid: int, most: int) -> None:
    """A thread that is still ending keeps its stack from the next one, which would then need more."""
    deadline = time.monotonic() + PATIENCE
    while _threads(pid) > most:
        assert time.monotonic() < deadline, "a thread did not end"
        time.sleep(0.001)


def _load(port: int, pid: int, connections: int, requests: int, kept_threads: int) -> None:
    most = _threads(pid) + kept_threads
    for _ in range(connections):
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
            for _ in range(requests):
                client.sendall(REQUEST)
                answer = b""
                while not answer.endswith(b"Hello, World!"):
                    part = client.recv(4096)
                    assert part, "the server closed the connection"
                    answer += part
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""
        _await_threads(pid, most)


def _valgrind(options: list[str], model: str, connections: int, requests: int) -> str:
    """What valgrind says of a server's whole life under the load."""
    server = subprocess.Popen(
        ["valgrind", *options, paths.binary("spawnpool-server"), "--model", model, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        port = json.loads(server.stdout.readline())["port"]
        kept_threads = 1 if model == "worker-pool" else 0  # one connection at a time: one worker
        _load(port, server.pid, connections, requests, kept_threads)
        server.send_signal(signal.SIGTERM)
        _, words = server.communicate(timeout=PATIENCE)
    finally:
        server.kill()
        server.wait()
    assert server.returncode == 0, words
    return words


def _heap_usage(model: str, connections: int, requests: int) -> tuple[int, int]:
    """Allocations and bytes."""
    words = _valgrind([], model, connections, requests)
    found = HEAP_USAGE.search(words)
    assert found is not None, words
    allocations, size = (int(number.replace(",", "")) for number in found.groups())
    return allocations, size


@pytest.mark.parametrize("model", ["thread-per-connection", "worker-pool"])
def test_a_trial_counts_what_valgrind_counts(model: str) -> None:
    suite = load_suite("quick")
    spec = {key: suite[key] for key in ("driver", "timeout", "limits")}
    spec.update(
        target={"name": model, "model": model, "options": []},
        scenario={k: v for k, v in suite["scenarios"][0].items() if k != "points"},
        point={"connections": 2},
        warmup="50ms",
        duration="100ms",
        accounting={"connections": CONNECTIONS, "requests_per_connection": REQUESTS},
    )
    trial = subprocess.run(
        [paths.binary("spawnpool-trial"), "-"],
        input=json.dumps(spec),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    counted = json.loads(trial.stdout)["server"]["allocations"]

    short = _heap_usage(model, CONNECTIONS, 1)
    more = _heap_usage(model, 2 * CONNECTIONS, 1)
    long = _heap_usage(model, CONNECTIONS, REQUESTS)
    for kind, per_request, per_connection in (
        (0, "per_request", "per_connection"),
        (1, "bytes_per_request", "bytes_per_connection"),
    ):
        request = (long[kind] - short[kind]) / (CONNECTIONS * (REQUESTS - 1))
        connection = (more[kind] - short[kind]) / CONNECTIONS - request
        assert counted[per_request] == pytest.approx(request, abs=1e-9)
        assert counted[per_connection] == pytest.approx(connection, abs=1e-9)


@pytest.mark.parametrize("model", ["thread-per-connection", "worker-pool"])
def test_a_request_takes_few_instructions(model: str, tmp_path: Path) -> None:
    def instructions(requests: int) -> int:
        options = ["--tool=callgrind", f"--callgrind-out-file={tmp_path}/callgrind.out"]
        words = _valgrind(options, model, CONNECTIONS, requests)
        found = re.search(r"Collected : ([0-9]+)", words)
        assert found is not None, words
        return int(found[1])

    further = 5 * REQUESTS
    per_request = (instructions(1 + further) - instructions(1)) / (CONNECTIONS * further)
    print(f"user instructions per kept request, {model}: {per_request:.0f}")
    assert 500 < per_request <= MOST_INSTRUCTIONS
