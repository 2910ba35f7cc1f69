"""For tests: results, whole documents with the numbers a test asks for; and git repositories."""
import base64
import json
import random
import statistics
import struct
import subprocess
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spawnpool.calibration import calibration_plan, resolved
from spawnpool.documents import Json
from spawnpool.load import load_of
from spawnpool.options import RunOptions
from spawnpool.pictures.frame import Picture
from spawnpool.plan import PAIRS_PER_BLOCK, PlannedTrial, draw_plan
from spawnpool.results import SCHEMA_VERSION
from spawnpool.suite import load_suite, override
from spawnpool.summary import summarize


PERF = [
    "scope",
    "requests",
    "running_share",
    *(
        f"{event}_per_request"
        for event in (
            "task_clock_us",
            "context_switches",
            "minor_faults",
            "major_faults",
            "user_cycles",
            "kernel_cycles",
            "user_instructions",
            "kernel_instructions",
            "cache_references",
            "cache_misses",
            "branch_misses",
        )
    ),
]


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


def example_trial(planned: PlannedTrial, load: Json, rate: float, draw: random.Random) -> Json:
    """A valid trial of this load with about `rate` requests per second."""
    offered, connections = load.get("rate"), load["connections"]
    rate = offered * draw.uniform(0.995, 1.0) if offered else rate * draw.uniform(0.96, 1.04)
    median = connections / rate * 1e6
    latencies = [min(2047, int(median * draw.lognormvariate(0, 0.4))) for _ in range(2000)]
    waits = [latency // 10 for latency in latencies] if offered else None
    pool = planned.target == "worker-pool"
    requests = int(rate)
    trial: Json = {
        **planned.to_json(),
        "seed": 1,
        "driver": "builtin",
        "status": "valid",
        "reasons": [],
        "started_at": "2026-01-01T00:00:00.123Z",
        "before": {"time_wait": 16_360, "orphans": 0, "waited_s": 0.0, "settled": True},
        "elapsed_s": 1.6,
        "warmup_s": 0.3,
        "window_s": 1.0004,
        "command": ["spawnpool-server", "--model", planned.target, "--port", "0"],
        "cpus": {"server": [0], "generator": [1], "shared": False},
        "target_stderr": [],
        "check": {"status": 200, "body_bytes": 13, "response_bytes": 142},
        "load": {
            "requests": requests,
            "throughput_rps": rate,
            "offered_rps": offered,
            "counts": {
                "intended": requests + 3,
                "sent": requests + 3,
                "answered": requests,
                "failed": 0,
                "unfinished": 3,
                "dropped": 0,
                "unsent": 0,
            },
            "errors": {
                "connect": 0,
                "read": 0,
                "write": 0,
                "timeout": 0,
                "status": 0,
                "protocol": 0,
            },
            "rejected": 0,
            "status_classes": {"1xx": 0, "2xx": requests, "3xx": 0, "4xx": 0, "5xx": 0},
            "latency_us": _distribution(latencies),
            "latency_histogram": encode_histogram(latencies),
            "wait_us": _distribution(waits) if waits else None,
            "wait_histogram": encode_histogram(waits) if waits else None,
            "first_byte_us": _distribution(latencies),
            "first_byte_histogram": encode_histogram(latencies),
            "generator": {
                "cpu_utilization": 0.83,
                "cpu_us_per_request": 0.83e6 / rate,
                "busy_share": 0.6,
                "send_lag_us": 12.0 if offered else None,
                "send_lag_p50_us": 1.0 if offered else None,
                "send_lag_max_us": 80.0 if offered else None,
                "pacing": "busy-poll",
            },
            "steady_state": {"steady": True, "evidence": [], "reason": None},
            "time_series": {
                "interval_s": 0.1,
                "answered": [requests // 10] * 10,
                "errors": [0] * 10,
            },
            "background": None,
        },
        "server": {
            "cpu_us_per_request": 1e6 / rate,
            "cpu_user_us_per_request": 0.2e6 / rate,
            "cpu_system_us_per_request": 0.8e6 / rate,
            "cpu_utilization": 0.99,
            "context_switches_per_request": 1.1,
            "voluntary_switches_per_request": 1.0,
            "involuntary_switches_per_request": 0.1,
            "run_queue_wait_us_per_request": 40.0,
            "migrations_per_request": None,
            "page_faults_per_request": 0.0,
            "syscalls_per_request": None,
            "syscalls_per_connection": None,
            "syscalls_by_name": None,
            "syscalls_by_phase": None,
            "instructions_per_request": None,
            "instructions_per_connection": None,
            "perf": dict.fromkeys(PERF),
            "threads": connections + 1,
            "threads_peak": connections + 1,
            "threads_started": connections,
            "rss_bytes": 5_500_000,
            "rss_peak_bytes": 6_000_000,
            "time_series": {
                "t_s": [0.1, 0.2],
                "cpu_utilization": [0.98, 1.0],
                "threads": [connections + 1] * 2,
                "rss_bytes": [5_500_000] * 2,
                "status": {
                    "t_s": [0.0, 0.1],
                    "connections_open": [connections] * 2,
                    "threads_busy": [connections] * 2,
                    "threads_ready": [0, 0],
                    "queued": [0, 0],
                },
            },
            "allocations": {
                "source": "interposer",
                "per_request": 0.0 if pool else 2.0,
                "per_connection": 1.0 if pool else 14.0,
                "bytes_per_request": 0.0 if pool else 640.0,
                "bytes_per_connection": 64.0 if pool else 9000.0,
                "by_phase": None,
                "heap_live_bytes": 200_000,
                "heap_peak_bytes": 250_000,
                "stack_bytes_started": 65_536 * connections,
            },
        },
        "machine": {"foreign_cpu_share": 0.01, "steal_share": 0.0, "server_idle_share": 0.02},
        "shutdown": None,
        "unmeasured": {
            "load.background": "none was asked for",
            "shutdown": "none was asked for",
            **{
                f"server.{name}": "not asked for in this trial"
                for name in (
                    "syscalls_per_request",
                    "syscalls_per_connection",
                    "syscalls_by_name",
                    "syscalls_by_phase",
                    "instructions_per_request",
                    "instructions_per_connection",
                    "migrations_per_request",
                    *(f"perf.{name}" for name in PERF),
                )
            },
            "server.allocations.by_phase": "the target marks no phases",
        },
    }
    if not offered:
        closed = "closed loop: no send time is intended"
        lags = [f"load.generator.send_lag{kind}_us" for kind in ("", "_p50", "_max")]
        paths = ["load.offered_rps", "load.wait_us", "load.wait_histogram", *lags]
        trial["unmeasured"] = {**trial["unmeasured"], **{path: closed for path in paths}}
    return trial


def _distribution(values: list[int]) -> Json:
    ordered = sorted(values)
    quantiles = {"p50": 1000, "p90": 1800, "p99": 1980, "p99_9": 1998, "max": 1999}
    return {"mean": statistics.mean(values), **{k: ordered[rank] for k, rank in quantiles.items()}}


def example_result(
    rates: Mapping[str, float] | None = None, suite_name: str = "quick", blocks: int | None = None
) -> Json:
    """A whole result of a shipped suite with these saturations per target, requests/s; in the
    scenario `churn` a fifth of them. Without `blocks` it has those of the suite."""
    per_target = rates or {"thread-per-connection": 150_000.0, "worker-pool": 165_000.0}
    suite, draw = override(
        load_suite(suite_name), RunOptions(suite_name, blocks=blocks)
    ), random.Random(1)
    suite["targets"] = [target for target in suite["targets"] if target["name"] in per_target]
    scenarios = {scenario["name"]: scenario for scenario in suite["scenarios"]}

    def measure(planned: PlannedTrial) -> Json:
        load = load_of(scenarios[planned.scenario], planned.point)
        slower = 0.2 if planned.scenario == "churn" else 1.0
        return example_trial(planned, load, per_target[planned.target] * slower, draw)

    calibration = [
        example_trial(planned, planned.point, per_target[planned.target], draw)
        for planned in calibration_plan(suite)
    ]
    plan = resolved(suite, draw_plan(suite, seed=1), calibration)
    trials = [measure(planned) for planned in plan]
    for trial in calibration if suite["accounting"] else calibration + trials:
        for kind in trial["server"]["allocations"]:
            trial["server"]["allocations"][kind] = None
            trial["unmeasured"][f"server.allocations.{kind}"] = "no accounting pass was asked for"
    recorded = {
        **suite,
        "seed": 1,
        "pairs": PAIRS_PER_BLOCK * suite["blocks"],
        "planned": [planned.to_json() for planned in plan],
    }
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
            "topology": [
                {"cpu": cpu, "core": cpu, "package": 0, "siblings": [cpu]} for cpu in (0, 1)
            ],
            "hypervisor": True,
            "governor": None,
            "turbo": None,
            "aslr": 2,
            "clock_source": "tsc",
            "limits": {
                "open_files": {"soft": 1024, "hard": 524_288},
                "processes": {"soft": None, "hard": None},
                "cgroup_pids": None,
            },
            "network": {
                "somaxconn": 4096,
                "tcp_max_syn_backlog": 1024,
                "tcp_max_tw_buckets": 131_072,
                "tcp_tw_reuse": 2,
                "tcp_fin_timeout": 60,
            },
            "git": {"revision": "0" * 40, "dirty": False},
            "compiler": {"version": "c++ 12.2.0", "build_type": "RelWithDebInfo", "flags": "-O2"},
            "binaries": {
                "spawnpool-server": "a" * 64,
                "spawnpool-trial": "b" * 64,
                "spawnpool-load": "c" * 64,
            },
            "versions": {
                "spawnpool": "0.1.0",
                "python": "3.11.2",
                "scipy": "1.10.1",
                "wrk": "4.1.0",
            },
            "unmeasured": {
                "cpu_model": "/proc/cpuinfo names no model",
                "governor": "the kernel does not set the frequency here",
                "turbo": "the kernel does not set the frequency here",
                "limits.processes.soft": "without limit",
                "limits.processes.hard": "without limit",
                "limits.cgroup_pids": "without limit",
            },
        },
        "suite": recorded,
        "run": {
            "settings": [],
            "blocks_asked": suite["blocks"],
            "expected_s": 54.0,
            "elapsed_s": 55.2,
            "ended_by": "complete",
        },
        "calibration": calibration,
        "trials": trials,
        "micro": example_micro(suite["micro"]) if "micro" in suite else [],
        "summary": summarize(recorded, trials),
    }


def example_micro(asked: Json) -> list[Json]:
    """The runs of two benchmarks in as many repetitions as a suite's `micro` asks for."""
    draw = random.Random(1)
    return [
        {
            "name": name,
            "family_index": family,
            "per_family_instance_index": 0,
            "run_name": name,
            "run_type": "iteration",
            "repetitions": asked["repetitions"],
            "repetition_index": index,
            "threads": 1,
            "iterations": 1000,
            "real_time": time * draw.uniform(0.9, 1.1),
            "cpu_time": time,
            "time_unit": "ns",
            "allocs_per_iter": 0.0,
            "max_bytes_used": 0,
            "error_occurred": False,
            "unmeasured": {},
        }
        for index in range(asked["repetitions"])
        for family, (name, time) in enumerate(
            (("route/miss", 12.5), ("hand_off/worker/manual_time", 3456.7))
        )
    ]


def axes_of(pictures: Iterable[Picture], name: str) -> list[Axes]:
    """The panels of the picture of this name, which is drawn."""
    axes: list[Axes] = _figure(pictures, name).axes
    return axes


def caption_of(pictures: Iterable[Picture], name: str) -> str:
    """The words above and below the panels of the picture of this name, as one line."""
    return " ".join(" ".join(text.get_text() for text in _figure(pictures, name).texts).split())


def _figure(pictures: Iterable[Picture], name: str) -> Figure:
    (figure,) = (picture.figure for picture in pictures if picture.name == name)
    assert figure is not None
    return figure


def fail(trial: Json, code: str, message: str) -> None:
    """Turns a trial into one that the target's fault made invalid, its numbers kept."""
    trial.update(status="invalid", reasons=[{"code": code, "message": message}])


def git(root: Path, *words: str) -> str:
    """What git says; whoever runs the tests has no part in it."""
    identity = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.com")
    command = ["git", "-C", str(root), *identity, "-c", "core.hooksPath=/dev/null", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def repository(root: Path, makes_server: str) -> Path:
    """A repository on the branch main, without a commit, whose preset `release` makes the server with
    this shell command, in the folder of the build."""
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch=main")
    (root / ".gitignore").write_text("/build/\n")
    (root / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.22)\nproject(spawnpool VERSION 0.1.0 LANGUAGES NONE)\n"
        "file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/bin)\n"
        f"add_custom_target(spawnpool-server COMMAND {makes_server})\n"
    )
    preset = {
        "name": "release",
        "generator": "Ninja",
        "binaryDir": "${sourceDir}/build/${presetName}",
    }
    (root / "CMakePresets.json").write_text(
        json.dumps({"version": 3, "configurePresets": [preset]})
    )
    return root
