"""Servers as child processes that say where they listen and what they counted, on a CPU of their own."""
import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Optional

from spawnpool.documents import Json
from spawnpool.errors import UsageError

PATIENCE_S = 30.0


def cpus_apart() -> Optional[tuple[int, int]]:
    """A CPU for the server and another for the generator; None when only one is to be had."""
    cpus = sorted(os.sched_getaffinity(0))
    return (cpus[0], cpus[1]) if len(cpus) > 1 else None


def pinned(cpu: int) -> list[str]:
    """What a command is prefixed with to run on one CPU."""
    return ["taskset", "-c", str(cpu)]


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class LocalServer:
    """A server that prints a ready line with its port, or listens on a `port` given to it.

    Killed on leaving the context, and with this process, unless stop() has ended it."""

    def __init__(
        self, command: Sequence[object], cpu: Optional[int] = None, port: Optional[int] = None
    ) -> None:
        words = [str(word) for word in command]
        self._prefix = ["setpriv", "--pdeathsig", "KILL", *(pinned(cpu) if cpu is not None else [])]
        self._command = words
        self._given_port = port
        self.port = port or 0

    def __enter__(self) -> "LocalServer":
        self.process = subprocess.Popen([*self._prefix, *self._command], stdout=subprocess.PIPE)
        self.pid = self.process.pid
        try:
            if self._given_port is None:
                self.port = int(self._line()["port"])
            else:
                self._await_port()
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._kill()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def stop(self) -> Json:
        """Ends the server with SIGTERM, and gives the line with its counters."""
        self.process.send_signal(signal.SIGTERM)
        line = self._line()
        self.process.wait(PATIENCE_S)
        return line

    def _line(self) -> Json:
        stdout = self._stdout()
        readable, _, _ = select.select([stdout], [], [], PATIENCE_S)
        text = stdout.readline() if readable else b""
        if not text:
            raise UsageError(f"{self._command[0]} says nothing; try it by hand")
        line: Json = json.loads(text)
        return line

    def _stdout(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    def _await_port(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.01)
        raise UsageError(f"{self._command[0]} does not listen on {self.port}; try it by hand")

    def _kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._stdout().close()
