"""Results for tests: whole documents with the numbers a test asks for."""
import base64
import random
import struct
import zlib
from collections.abc import Mapping

from spawnpool.documents import Json
from spawnpool.plan import PlannedTrial, draw_plan
from spawnpool.results import SCHEMA_VERSION
from spawnpool.suite import load_suite
from spawnpool.summary import summarize


def encode_histogram(latencies_us: list[int]) -> str:
    """HdrHistogram V2 of latencies in µs below 2048, which it holds exactly (3 digits)."""
    counts = [0] * (max(latencies_us) + 1)
    for latency in latencies_us:
        counts[latency] += 1
    payload = bytearray()
    for count in counts:
        value = count << 1 if count else 1  # ZigZag; one zero count is the number -1
        while value > 0x7F:
            payload.append(value & 0x7F | 0x80)
            value >>= 7
        payload.append(value)
    header = struct.pack(">iiiiqqd", 0x1C849313, len(payload), 0, 3, 1, 3_600_000_000, 1.0)
    content = zlib.compress(header + bytes(payload))
    return base64.b64encode(struct.pack(">ii", 0x1C849314, len(content)) + content).decode()


def example_trial(planned: PlannedTrial, rate: float, draw: random.Random) -> Json:
    """A valid trial with about `rate` requests per second."""
    rate *= draw.uniform(0.96, 1.04)
    connections = planned.point["connections"]
    median = connections / rate * 1e6
    latencies = [min(2047, int(median * draw.lognormvariate(0, 0.4))) for _ in range(2000)]
    ordered = sorted(latencies)
    pool = planned.target == "worker-pool"
    return {
        **planned.to_json(),
        "seed": 1,
        "driver": "wrk",
        "status": "valid",
        "reasons": [],
        "started_at": "2026-01-01T00:00:00.123Z",
        "warmup_s": 0.3,
        "window_s": 1.0004,
        "command": ["spawnpool-server", "--model", planned.target, "--port", "0"],
        "cpus": {"server": [0], "generator": [1], "shared": False},
        "target_stderr": [],
        "check": {"status": 200, "body_bytes": 13, "response_bytes": 142},
        "load": {
            "requests": int(rate),
            "throughput_rps": rate,
            "offered_rps": None,
            "errors": {"connect": 0, "read": 0, "write": 0, "timeout": 0, "status": 0},
            "rejected": None,
            "latency_us": {
                "mean": sum(latencies) / len(latencies),
                "p50": ordered[1000],
                "p90": ordered[1800],
                "p99": ordered[1980],
                "p99_9": ordered[1998],
                "max": ordered[-1],
            },
            "latency_histogram": encode_histogram(latencies),
            "generator": {"cpu_utilization": 0.83, "send_lag_us": None},
        },
        "server": {
            "cpu_us_per_request": 1e6 / rate,
            "cpu_user_us_per_request": 0.2e6 / rate,
            "cpu_system_us_per_request": 0.8e6 / rate,
            "cpu_utilization": 0.99,
            "context_switches_per_request": 1.1,
            "page_faults_per_request": 0.0,
            "syscalls_per_request": None,
            "instructions_per_request": None,
            "threads_peak": connections + 1,
            "threads_started": connections,
            "rss_peak_bytes": 6_000_000,
            "allocations": {
                "per_request": 0.0 if pool else 2.0,
                "per_connection": 1.0 if pool else 14.0,
                "bytes_per_request": 0.0 if pool else 640.0,
                "bytes_per_connection": 64.0 if pool else 9000.0,
                "by_phase": None,
            },
        },
        "unmeasured": {
            "load.offered_rps": "closed loop: no rate is offered",
            "load.rejected": "the driver does not tell",
            "load.generator.send_lag_us": "closed loop: no send time is intended",
            "server.syscalls_per_request": "not counted",
            "server.instructions_per_request": "not counted",
            "server.allocations.by_phase": "not counted by phase",
        },
    }


def example_result(rates: Mapping[str, float] | None = None) -> Json:
    """A whole result of the suite `quick` with these rates per target, requests/s."""
    rates = rates or {"thread-per-connection": 150_000.0, "worker-pool": 165_000.0}
    suite, draw = load_suite("quick"), random.Random(1)
    plan = draw_plan(suite, seed=1)
    slower = {"keep-alive": 1.0, "churn": 0.2}
    trials = [
        example_trial(planned, rates[planned.target] * slower[planned.scenario], draw)
        for planned in plan
    ]
    recorded = {**suite, "seed": 1, "pairs": 6, "planned": [planned.to_json() for planned in plan]}
    return {
        "schema_version": SCHEMA_VERSION,
        "context": {
            "date": "2026-01-01T00:00:00.000Z",
            "hostname": "example",
            "kernel": "Linux 6.1.0 x86_64",
            "cpu_model": None,
            "cpus_online": 2,
            "affinity": [0, 1],
            "smt": False,
            "memory_bytes": 8 * 2**30,
            "load_average": [0.5, 0.25, 0.125],
            "git": {"revision": "0" * 40, "dirty": False},
            "compiler": {"version": "c++ 12.2.0", "build_type": "RelWithDebInfo", "flags": "-O2"},
            "binaries": {"spawnpool-server": "a" * 64, "spawnpool-trial": "b" * 64},
            "versions": {
                "spawnpool": "0.1.0",
                "python": "3.11.2",
                "scipy": "1.10.1",
                "wrk": "4.1.0",
            },
            "unmeasured": {"cpu_model": "/proc/cpuinfo names no model"},
        },
        "suite": recorded,
        "trials": trials,
        "summary": summarize(recorded, trials),
    }


def fail(trial: Json, code: str, message: str) -> None:
    """Turns a trial into one that the target's fault made invalid, its numbers kept."""
    trial.update(status="invalid", reasons=[{"code": code, "message": message}])
