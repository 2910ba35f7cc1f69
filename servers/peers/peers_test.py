"""Every peer and both models give the same answers to the same requests, over real sockets."""

import contextlib
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import pytest

PEERS = pathlib.Path(__file__).resolve().parent
ROOT = PEERS.parents[1]
BUILD = pathlib.Path(os.environ.get("SPAWNPOOL_BUILD") or ROOT / "build/release").resolve()
BOUND = 10.0  # seconds, for every wait

TEXT, JSON, BYTES = "text/plain", "application/json", "application/octet-stream"
GO = ["go-net-http", "go-fasthttp"]
OURS = ["thread-per-connection", "worker-pool"]
SERVERS = {
    "thread-per-connection": ["spawnpool-server", "--model", "thread-per-connection"],
    "worker-pool": ["spawnpool-server", "--model", "worker-pool"],
    "go-net-http": ["peer-nethttp"],
    "go-fasthttp": ["peer-fasthttp"],
    "nginx": ["peer-nginx"],
}
PACKAGES = {
    "go-net-http": "golang-go",
    "go-fasthttp": "golang-go and golang-github-valyala-fasthttp-dev",
    "nginx": "nginx-light",
}


@dataclass(frozen=True)
class Case:
    """A request and the answer of every server that has the route."""

    method: str
    target: str
    status: int
    body: bytes
    content_type: str | None = TEXT
    sends: bytes | None = None
    allow: str | None = None
    nginx: bool = False  # nginx has the fixed answers alone


GET, GET_POST = "GET, HEAD, OPTIONS", "GET, HEAD, OPTIONS, POST"
HELLO, HELLO_JSON = b"Hello, World!", b'{"message":"Hello, World!"}'
WORK = b"/work?us=N: N is a whole number, at most 10000000\n"
SLEEP = b"/sleep?ms=N: N is a whole number, at most 60000\n"
CASES = [
    Case("GET", "/", 200, HELLO, nginx=True),
    Case("GET", "/plaintext", 200, HELLO, nginx=True),
    Case("GET", "/plaintext?query=ignored", 200, HELLO, nginx=True),
    Case("GET", "/json", 200, HELLO_JSON, JSON, nginx=True),
    Case("HEAD", "/plaintext", 200, b"", nginx=True),
    Case("HEAD", "/json", 200, b"", JSON, nginx=True),
    Case("POST", "/", 200, b"to the root", BYTES, sends=b"to the root"),
    Case("POST", "/echo", 200, b"", BYTES, sends=b""),
    Case("POST", "/echo", 200, b"\0\r\n\xff", BYTES, sends=b"\0\r\n\xff"),
    Case("POST", "/echo", 200, b"e" * 100_000, BYTES, sends=b"e" * 100_000),
    Case("GET", "/echo", 200, b"Host: peers\n"),
    Case("GET", "/users/0", 200, b"0"),
    Case("GET", "/users/007", 200, b"007"),
    Case("GET", "/users/18446744073709551615", 200, b"18446744073709551615"),
    Case("GET", "/users/18446744073709551616", 404, b"Not Found\n"),
    Case("GET", "/users/", 404, b"Not Found\n"),
    Case("GET", "/users/-1", 404, b"Not Found\n"),
    Case("GET", "/users/+1", 404, b"Not Found\n"),
    Case("GET", "/users/1_0", 404, b"Not Found\n"),
    Case("GET", "/users/abc", 404, b"Not Found\n"),
    Case("GET", "/users/1/2", 404, b"Not Found\n"),
    Case("GET", "/bytes/0", 200, b"", BYTES),
    Case("GET", "/bytes/1", 200, b"x", BYTES),
    Case("GET", "/bytes/5000", 200, b"x" * 5000, BYTES),
    Case("GET", "/bytes/1048576", 200, b"x" * 1048576, BYTES),
    Case("GET", "/bytes/1048577", 400, b"/bytes/{n}: n is at most 1048576\n"),
    Case("GET", "/bytes/some", 404, b"Not Found\n"),
    Case("GET", "/work?us=0", 200, b"done\n"),
    Case("GET", "/work?us=500", 200, b"done\n"),
    Case("GET", "/work", 400, WORK),
    Case("GET", "/work?us=", 400, WORK),
    Case("GET", "/work?us=-1", 400, WORK),
    Case("GET", "/work?us=10000001", 400, WORK),
    Case("GET", "/sleep?ms=0", 200, b"done\n"),
    Case("GET", "/sleep?ms=5", 200, b"done\n"),
    Case("GET", "/sleep?s=5", 400, SLEEP),
    Case("GET", "/sleep?ms=60001", 400, SLEEP),
    Case("GET", "/none", 404, b"Not Found\n"),
    Case("GET", "/plaintext/", 404, b"Not Found\n"),
    Case("POST", "/json", 405, b"Method Not Allowed\n", sends=b"", allow=GET),
    Case("POST", "/users/1", 405, b"Method Not Allowed\n", sends=b"", allow=GET),
    Case("DELETE", "/echo", 405, b"Method Not Allowed\n", allow=GET_POST),
    Case("OPTIONS", "/json", 204, b"", None, allow=GET),
    Case("OPTIONS", "/", 204, b"", None, allow=GET_POST),
]


@dataclass
class Server:
    """A running server; its stdout is read line by line."""

    name: str
    port: int
    process: "subprocess.Popen[bytes]"
    ready: dict[str, Any] = field(default_factory=dict)

    def line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], BOUND)
        assert readable, f"{self.name} printed nothing within {BOUND} s"
        parsed: dict[str, Any] = json.loads(self.process.stdout.readline())
        return parsed

    def ask(self, case: Case, connection: HTTPConnection) -> tuple[HTTPResponse, bytes]:
        connection.putrequest(case.method, case.target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", "peers")
        if case.sends is not None:
            connection.putheader("Content-Length", str(len(case.sends)))
        connection.endheaders(case.sends)
        response = connection.getresponse()
        return response, response.read()

    def connect(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=BOUND)


def program(name: str) -> pathlib.Path:
    path = BUILD / "bin" / SERVERS[name][0]
    if not path.exists() and name in PACKAGES:
        pytest.skip(f"{name} is not built: needs the package {PACKAGES[name]}")
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def await_port(server: Server) -> None:
    deadline = time.monotonic() + BOUND
    while time.monotonic() < deadline:
        assert server.process.poll() is None, f"{server.name} ended before it was ready"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", server.port)) == 0:
                return
        time.sleep(0.005)
    pytest.fail(f"{server.name} does not listen")


@contextlib.contextmanager
def started(name: str, *options: str) -> Iterator[Server]:
    port = free_port() if name == "nginx" else 0
    command = [str(program(name)), *SERVERS[name][1:], "--port", str(port), *options]
    # A group of its own, so that no worker of nginx can outlive a test that fails.
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            server = Server(name, port, process)
            if name == "nginx":
                await_port(server)
            else:
                server.ready = server.line()
                server.port = server.ready["port"]
            yield server
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def stop(server: Server, number: int = signal.SIGTERM) -> int:
    server.process.send_signal(number)
    return server.process.wait(BOUND)


def run(name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [str(program(name)), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=BOUND)


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with started(request.param) as running:
        yield running


def test_answers_alike(server: Server) -> None:
    """Over one kept connection, so that the framing of each answer is checked by the next."""
    with contextlib.closing(server.connect()) as connection:
        asked = 0
        for case in CASES:
            if server.name == "nginx" and not case.nginx:
                continue
            response, body = server.ask(case, connection)
            got = (response.status, response.getheader("Content-Type"), body)
            assert got == (case.status, case.content_type, case.body), case
            assert response.getheader("Allow") == case.allow, case
            assert response.getheader("Transfer-Encoding") is None, case
            if case.status != 204:
                length = int(response.getheader("Content-Length") or -1)
                assert length == (len(body) if case.method != "HEAD" else length) >= 0, case
            assert response.getheader("Date") and not response.will_close, case
            asked += 1
        assert asked == (len(CASES) if server.name != "nginx" else 6)


def test_closes_when_asked(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), BOUND) as connection:
        connection.sendall(b"GET /plaintext HTTP/1.1\r\nHost: peers\r\nConnection: close\r\n\r\n")
        received = b""
        while part := connection.recv(65536):
            received += part
    assert received.startswith(b"HTTP/1.1 200 OK\r\n") and received.endswith(b"\r\n\r\n" + HELLO)
    assert b"\r\nconnection: close\r\n" in received.lower()


@pytest.mark.parametrize("name", [*OURS, *GO])
def test_lists_the_header_fields(name: str) -> None:
    """Libraries spell and order the fields their own way."""
    with started(name) as server, contextlib.closing(server.connect()) as connection:
        connection.putrequest("GET", "/echo", skip_host=True, skip_accept_encoding=True)
        for header in ("Host: peers", "x-b: 2", "X-A: 1"):
            connection.putheader(*header.split(": "))
        connection.endheaders()
        lines = connection.getresponse().read().lower().splitlines()
        assert sorted(lines) == [b"host: peers", b"x-a: 1", b"x-b: 2"]


@pytest.mark.parametrize("name", [*OURS, *GO])
def test_work_burns_cpu_and_sleep_does_not(name: str) -> None:
    def cpu_seconds(pid: int) -> float:
        ticks = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")

    with started(name) as server, contextlib.closing(server.connect()) as connection:
        pid = server.process.pid
        before = cpu_seconds(pid)
        server.ask(Case("GET", "/work?us=300000", 200, b""), connection)
        worked = cpu_seconds(pid)
        started_at = time.monotonic()
        server.ask(Case("GET", "/sleep?ms=100", 200, b""), connection)
        assert time.monotonic() - started_at >= 0.1
        # Not above: another thread's share, a tick of 10 ms of each read.
        assert 0.28 <= worked - before
        assert cpu_seconds(pid) - worked < 0.1


@pytest.mark.parametrize("name", GO)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_go_peers_keep_the_contract(name: str, number: int) -> None:
    with started(name) as server:
        assert server.ready["event"] == "ready" and server.ready["model"] == name
        assert server.ready["address"] == "127.0.0.1"
        assert server.ready["pid"] == server.process.pid
        assert server.ready["memstats_signal"] == signal.SIGUSR1
        with contextlib.closing(server.connect()) as connection:
            for _ in range(3):
                server.ask(CASES[0], connection)
            server.process.send_signal(signal.SIGUSR1)
            memory = server.line()
            assert set(memory) == {"event", "mallocs", "frees", "total_alloc", "num_gc"}
            assert memory["event"] == "memstats"
            for _ in range(100):
                server.ask(Case("GET", "/work?us=0", 200, b""), connection)
        server.process.send_signal(number)
        end = server.line()
        assert server.process.wait(BOUND) == 0
        assert (end["event"], end["model"], end["drained"]) == ("exit", name, True)
        assert (end["counters"]["accepted"], end["counters"]["requests"]) == (1, 103)
        for count in ("mallocs", "total_alloc"):
            assert end["counters"][count] > memory[count] > 0


def mallocs(server: Server) -> int:
    server.process.send_signal(signal.SIGUSR1)
    count: int = server.line()["mallocs"]
    return count


def go_mallocs_per_request(name: str) -> float:
    """By Go's own count, as the slope of two loads over one kept connection."""
    with started(name) as server, contextlib.closing(server.connect()) as connection:
        counts = []
        for requests in (100, 100, 1100):
            for _ in range(requests):
                server.ask(Case("GET", "/plaintext", 200, HELLO), connection)
            server.process.send_signal(signal.SIGUSR1)
            counts.append(server.line()["mallocs"])
        return float(counts[2] - 2 * counts[1] + counts[0]) / 1000


@contextlib.contextmanager
def under_way(server: Server) -> Iterator[socket.socket]:
    """A POST to /echo of 4 bytes; "100 Continue" says that the server waits for them."""
    with socket.create_connection(("127.0.0.1", server.port), BOUND) as connection:
        connection.sendall(
            b"POST /echo HTTP/1.1\r\nHost: peers\r\nContent-Length: 4\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert connection.recv(25, socket.MSG_WAITALL) == b"HTTP/1.1 100 Continue\r\n\r\n"
        yield connection


def refuses_connections(server: Server) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", server.port)) != 0


@pytest.mark.parametrize("name", GO)
def test_go_peers_finish_what_is_under_way(name: str) -> None:
    with started(name) as server, under_way(server) as connection:
        server.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + BOUND
        while not refuses_connections(server):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        connection.sendall(b"late")
        received = b""
        while part := connection.recv(65536):
            received += part
        assert received.startswith(b"HTTP/1.1 200 OK\r\n") and received.endswith(b"\r\n\r\nlate")
        assert server.line()["drained"] and server.process.wait(BOUND) == 0


@pytest.mark.parametrize("name", GO)
def test_go_peers_do_not_wait_for_ever(name: str) -> None:
    with started(name) as server, under_way(server):
        server.process.send_signal(signal.SIGTERM)
        end = server.line()
        assert (end["event"], end["drained"]) == ("exit", False)
        assert server.process.wait(BOUND) == 0


def test_fasthttp_rejects_above_its_workers() -> None:
    with started("go-fasthttp", "--workers", "1") as server:
        with contextlib.closing(server.connect()) as kept:
            assert server.ask(CASES[0], kept)[0].status == 200
            with contextlib.closing(server.connect()) as above:
                above.connect()  # the answer comes without a request
                assert above.sock.recv(65536).startswith(b"HTTP/1.1 503 ")


@pytest.mark.parametrize("name", [*GO, "nginx"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "70000"],
        ["--port", "many"],
        ["--port", "1", "--colour", "red"],
        ["--port", "1", "surplus"],
    ],
)
def test_says_what_is_wrong_in_one_line(name: str, arguments: list[str]) -> None:
    result = run(name, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(SERVERS[name][0] + ": ") and result.stderr.count("\n") == 1


@pytest.mark.parametrize("name", [*GO, "nginx"])
def test_says_that_the_port_is_in_use(name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = run(name, "--port", str(taken.getsockname()[1]))
    assert (result.returncode, result.stdout) == (2, "")
    assert "in use" in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize("name", [*GO, "nginx"])
def test_helps(name: str) -> None:
    for option in ("--help", "--version"):
        result = run(name, option)
        assert result.returncode == 0 and result.stdout and not result.stderr
        words = {"go-net-http": "(go1.", "go-fasthttp": "(fasthttp 1", "nginx": "(nginx/1."}
        assert (words[name] if option == "--version" else "port") in result.stdout


def test_nginx_leaves_nothing_behind() -> None:
    with started("nginx") as server:
        with contextlib.closing(server.connect()) as connection:
            server.ask(CASES[0], connection)  # connecting alone does not need the worker yet
        pid = server.process.pid
        (worker_pid,) = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        worker = pathlib.Path("/proc", worker_pid)
        assert stop(server) == 0
        assert not worker.exists()
        assert not (BUILD / "servers/peers/nginx" / f"{server.port}.pid").exists()


def test_nginx_is_started_by_the_distributions_own_python(tmp_path: pathlib.Path) -> None:
    (tmp_path / "argparse.py").write_text("raise SystemExit('not the distribution')")
    done = subprocess.run(
        [program("nginx"), "--version"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=BOUND,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("peer-nginx ")


@pytest.mark.alone
@pytest.mark.parametrize("name", PACKAGES)
def test_is_measured_by_the_suite(name: str) -> None:
    """A trial as the suite `peers` has it, only shorter; Go's heap is counted by Go."""
    program(name)  # or skip
    suite = json.loads((ROOT / "scripts/suites/peers.json").read_text())
    (target,) = (dict(item) for item in suite["targets"] if item["name"] == name)
    assert target.pop("optional")
    target["command"] = [word.replace("{bin}", f"{BUILD}/bin") for word in target["command"]]
    spec = {
        **{key: suite[key] for key in ("driver", "timeout", "accounting", "limits")},
        "target": target,
        "warmup": "50ms",
        "duration": "200ms",
        "scenario": {key: value for key, value in suite["scenarios"][0].items() if key != "points"},
        "point": {"connections": 4},
    }
    done = subprocess.run(
        [BUILD / "bin/spawnpool-trial", "-"],
        input=json.dumps(spec),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["status"] == "valid" and result["load"]["requests"] > 0
    allocations = result["server"]["allocations"]
    if name == "nginx":
        assert allocations["source"] == "interposer"
        assert allocations["per_request"] > 0
    else:
        assert allocations["source"] == "go-runtime"
        expected = go_mallocs_per_request(name)
        assert allocations["per_request"] == pytest.approx(expected, abs=0.5)
        assert (allocations["per_request"] > 1) == (name == "go-net-http")
        assert allocations["per_connection"] > 1
        assert allocations["bytes_per_connection"] > 16
        assert allocations["heap_live_bytes"] is None


def test_go_is_formatted_and_vetted() -> None:
    if shutil.which("go") is None:
        pytest.skip("there is no Go: needs the package golang-go")
    sources = sorted(map(str, PEERS.glob("*/*.go")))
    formatted = subprocess.run(["gofmt", "-l", *sources], capture_output=True, text=True)
    assert (formatted.returncode, formatted.stdout, formatted.stderr) == (0, "", "")
    program("go-fasthttp")  # or skip
    # As CMakeLists.txt builds, so that what is built already need not be built again.
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOENV": "off",
        "GOFLAGS": "",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
        "GOPATH": f"{BUILD}/servers/peers/gopath:/usr/share/gocode",
    }
    if not environment.keys() & {"HOME", "XDG_CACHE_HOME", "GOCACHE"}:
        environment["GOCACHE"] = f"{BUILD}/servers/peers/gocache"
    packages = [f"spawnpool/{name}" for name in ("peer", "nethttp", "fasthttp")]
    vetted = subprocess.run(
        ["go", "vet", "-trimpath", *packages], env=environment, capture_output=True, text=True
    )
    assert (vetted.returncode, vetted.stderr) == (0, "")
