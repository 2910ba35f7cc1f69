"""Latencies known beforehand, and how far a generator's report lies from them.

The delay server answers each request a drawn time after its arrival and stalls at programmed times;
its log tells when requests arrived, which delays were drawn and when the answers went out. From the
intended send times follows what an open loop must have measured, request by request: nothing is
estimated, there is no sampling error. Where the server answered later than its programme, because
something else had its CPU, that belongs to the truth, too. Arrivals at equal distances are known but for their first instant, which is that of the least
delayed of all; of Poisson arrivals the server's own times are taken, which are the intended ones only
if the generator sends on time, as the equal distances show.
"""
import json
import math
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, Popen, TimeoutExpired
from typing import Optional

import numpy as np
from numpy.typing import NDArray

from spawnpool import paths
from spawnpool.documents import Json
from spawnpool.errors import UsageError
from spawnpool.generators import GRACE_S, INVALID_MEASUREMENT, load_command, run_load, run_wrk
from spawnpool.local_server import LocalServer

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99_9": 0.999, "max": 1.0}
MOST_AWAY = 0.005  # of a run's time, that the generator was kept from running
Nanoseconds = NDArray[np.int64]


@dataclass(frozen=True)
class Design:
    """A server's delays and the open-loop load that is to find them out."""

    name: str
    server: tuple[str, ...]  # options of the delay server
    rate: float  # requests/s
    arrivals: str  # "uniform" or "poisson"
    duration_s: float
    connections: int
    stall_s: float = 0  # of each second
    frozen_s: float = 0  # stopped by SIGSTOP for so long, a third into the window


# Delays of tens of milliseconds: 1 % of them is more than what a virtual machine is away at times.
DESIGNS = (
    Design("constant", ("--delay", "50ms"), 1000, "uniform", 1, 200),
    Design(
        "two-valued",
        ("--delays", "two-valued", "--delay", "10ms", "--other-delay", "100ms")
        + ("--other-share", "0.05"),
        1000,
        "poisson",
        1,
        200,
    ),
    Design("exponential", ("--delays", "exponential", "--delay", "20ms"), 1000, "uniform", 1, 200),
    # p90 is where the stall begins: each further request that waits, if only because the server has
    # the answers of the stall to send, moves it to the next latency. So there are few of them.
    Design("stall 100 ms/s", (), 250, "uniform", 4, 100, stall_s=0.1),
    Design("stall 150 ms/s", (), 500, "poisson", 2, 200, stall_s=0.15),
    # Fewer connections than requests that come meanwhile: most wait in the generator.
    Design("stopped for 1 s", (), 1000, "uniform", 3, 64, frozen_s=1),
)


@dataclass(frozen=True)
class Log:
    """What the delay server saw, in the order of arrival."""

    arrived: Nanoseconds
    delay: Nanoseconds
    answered: Nanoseconds
    start_ns: int  # from which its stalls are counted

    def __len__(self) -> int:
        return len(self.arrived)


def intended_times(design: Design, log: Log) -> Nanoseconds:
    """When the requests were to be sent, ns of CLOCK_MONOTONIC."""
    if design.arrivals != "uniform":
        return log.arrived
    schedule = np.round(np.arange(len(log)) * (1e9 / design.rate)).astype(np.int64)
    begin = np.min(log.arrived - schedule)
    intended: Nanoseconds = begin + schedule
    return intended


def programmed_latencies(
    design: Design, log: Log, frozen: Optional[tuple[int, int]] = None
) -> Nanoseconds:
    """From the intended send time to when the answer was due by the programme, ns, in order of arrival;
    `frozen` is from when to when the server did not run."""
    intended = intended_times(design, log)
    due = intended
    if frozen is not None:
        begin, end = frozen
        due = np.where((due >= begin) & (due < end), end, due)
    due = due + log.delay
    if design.stall_s > 0:
        period, stall = 1_000_000_000, round(design.stall_s * 1e9)
        into = (due - log.start_ns) % period
        due = np.where(into < period - stall, due, due + period - into)
    latencies: Nanoseconds = due - intended
    return latencies


def true_latencies(
    design: Design, log: Log, frozen: Optional[tuple[int, int]] = None
) -> Nanoseconds:
    """From the intended send time to the answer, ns, ascending: as programmed, or until the server did
    answer where that was later."""
    happened = log.answered - intended_times(design, log)
    latencies: Nanoseconds = np.sort(
        np.maximum(programmed_latencies(design, log, frozen), happened)
    )
    return latencies


def quantiles_us(latencies: Nanoseconds) -> dict[str, float]:
    """Nearest-rank quantiles of ascending latencies in ns, in µs."""
    last = len(latencies)
    return {
        name: float(latencies[max(math.ceil(share * last - 1e-9), 1) - 1]) / 1000
        for name, share in QUANTILES.items()
    }


def tolerance_us(truth: float) -> float:
    """1 % or 0.1 ms, whichever is greater."""
    return max(0.01 * truth, 100.0)


@dataclass(frozen=True)
class Outcome:
    """One run: quantiles in µs as they must be and as they were reported."""

    truth: dict[str, float]
    measured: dict[str, float]
    report: Json
    requests: int  # as the server counted them
    counters: Json
    # For how long the generator, which never sleeps, did not run, because another process had its CPU
    # or another machine had it.
    away_us: float

    @property
    def errors(self) -> dict[str, float]:
        """Measured minus true, µs."""
        return {name: self.measured[name] - self.truth[name] for name in QUANTILES}

    def disturbed(self, design: Design) -> bool:
        """Whether the generator was kept from its core for too long to say anything of it."""
        return self.away_us > MOST_AWAY * design.duration_s * 1e6


def delay_server_command(design: Design, log: Optional[Path] = None) -> list[object]:
    """The delay server of a design, on a core of its own."""
    command: list[object] = [paths.testing_binary("spawnpool-delay-server"), "--busy-poll"]
    command += design.server
    if design.stall_s > 0:
        command += ["--stall", f"{round(design.stall_s * 1000)}ms", "--stall-every", "1s"]
    return command + (["--log", log] if log is not None else [])


def measure(design: Design, cpus: tuple[int, int], seed: int = 0) -> Outcome:
    """Runs the server and spawnpool-load in open loop, each on its CPU."""
    with tempfile.TemporaryDirectory(prefix="spawnpool-") as folder:
        log_file = Path(folder) / "log"
        command = [*delay_server_command(design, log_file), "--seed", seed]
        with LocalServer(command, cpu=cpus[0]) as server:
            options = [
                *("--rate", f"{design.rate:g}", "--arrivals", design.arrivals),
                *("--duration", f"{round(design.duration_s * 1000)}ms", "--warmup", "0s"),
                *("--connections", str(design.connections), "--seed", str(seed)),
            ]
            frozen = None
            if design.frozen_s > 0:
                report, frozen = _load_and_freeze(design, server, options, cpus[1])
            else:
                report = run_load(
                    server.url, *options, cpu=cpus[1], within_s=design.duration_s + GRACE_S
                )
            told = server.stop()
        table = np.loadtxt(log_file, dtype=np.int64, ndmin=2)
    log = Log(table[:, 0], table[:, 1], table[:, 3], told["start_ns"])
    reported = report["load"]["latency_us"]
    return Outcome(
        truth=quantiles_us(true_latencies(design, log, frozen)),
        measured={name: float(reported[name]) for name in QUANTILES},
        report=report,
        requests=len(log),
        counters=told["counters"],
        away_us=report["load"]["generator"]["away_us"],
    )


def measure_undisturbed(
    design: Design, cpus: tuple[int, int], runs: int, seed: int = 0
) -> tuple[list[Outcome], list[float]]:
    """So many runs in which the generator had its core for itself, and for how long it was kept from
    running, µs, in each that is excluded because it had not. Fewer runs when that happens all the time.
    """
    found: list[Outcome] = []
    excluded: list[float] = []
    for attempt in range(4 * runs):
        outcome = measure(design, cpus, seed + attempt)
        if outcome.disturbed(design):
            excluded.append(outcome.away_us)
        else:
            found.append(outcome)
        if len(found) == runs or (not found and len(excluded) == 2 * runs):
            break
    return found, excluded


def _load_and_freeze(
    design: Design, server: LocalServer, options: Sequence[str], cpu: int
) -> tuple[Json, tuple[int, int]]:
    """Stops the server for a while within the window; also gives from when to when, ns."""
    command = load_command(server.url, *options, "--events", cpu=cpu)
    with Popen(command, stdout=PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            while json.loads(process.stdout.readline()).get("event") != "window-begin":
                pass
            frozen = _freeze(design, server)
            words, _ = process.communicate(timeout=design.duration_s + GRACE_S)
        except TimeoutExpired as error:
            raise UsageError(f"does not end: {' '.join(command)}") from error
        finally:
            process.kill()
    if process.returncode not in (0, INVALID_MEASUREMENT):
        raise UsageError(f"exit {process.returncode} of {' '.join(command)}")
    report: Json = json.loads(words.strip().splitlines()[-1])
    return report, frozen


def _freeze(design: Design, server: LocalServer) -> tuple[int, int]:
    """From when to when the server was stopped, ns of CLOCK_MONOTONIC."""
    time.sleep(design.duration_s / 3)
    server.process.send_signal(signal.SIGSTOP)
    begin = time.monotonic_ns()
    time.sleep(design.frozen_s)
    end = time.monotonic_ns()
    server.process.send_signal(signal.SIGCONT)
    return begin, end


def closed_loops(design: Design, cpus: tuple[int, int]) -> dict[str, dict[str, float]]:
    """What closed loops report of the same server, µs, by generator: nothing is sent while it
    stalls or is stopped, so that most of that is not measured (coordinated omission). wrk adds
    latencies to its record afterwards, as if it had gone on sending evenly."""
    connections = 16
    seconds = max(round(design.duration_s), 1)

    def of(generator: Callable[[str], Json]) -> dict[str, float]:
        with LocalServer(delay_server_command(design), cpu=cpus[0]) as server:
            with ThreadPoolExecutor(1) as pool:
                report = pool.submit(generator, server.url)
                if design.frozen_s > 0:
                    _freeze(design, server)
                latency_us = report.result()["latency_us"]
        return {name: float(latency_us[name]) for name in QUANTILES}

    def ours(url: str) -> Json:
        options = ("--connections", connections, "--duration", f"{seconds}s")
        load: Json = run_load(url, *options, cpu=cpus[1], within_s=seconds + GRACE_S)["load"]
        return load

    return {
        "spawnpool-load": of(ours),
        "wrk": of(lambda url: run_wrk(url, connections, seconds, cpus[1])),
    }
