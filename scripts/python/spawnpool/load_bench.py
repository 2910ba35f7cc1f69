"""Benchmarks of the load generator itself: its speed beside wrk's, how exactly it keeps to a schedule,
its memory, and how far its latencies are from known ones."""
import argparse
import hashlib
import os
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from spawnpool import paths
from spawnpool.context import gather_context, utc_now
from spawnpool.documents import Json
from spawnpool.errors import UsageError
from spawnpool.generators import load_command, run_load, run_wrk
from spawnpool.load_bench_tables import missed_goals, print_bench
from spawnpool.load_truth import (
    DESIGNS,
    QUANTILES,
    Design,
    closed_loops,
    measure_undisturbed,
    tolerance_us,
)
from spawnpool.local_server import LocalServer, cpus_apart, free_port
from spawnpool.lock import machine_lock
from spawnpool.results import claim, write_result
from spawnpool.statistics import paired_ratio

SCHEMA_VERSION = 1
SECTIONS = ("throughput", "open-loop", "memory", "accuracy")
RATES = (10_000, 30_000, 60_000)  # requests/s, open loop
# Enough that an arrival never waits for a connection, after a stall of some milliseconds either: its
# wait is the generator's.
OPEN_LOOP_CONNECTIONS = 1024


@dataclass(frozen=True)
class Settings:
    """How much to measure, and on which CPUs."""

    pairs: int
    runs: int
    accuracy_runs: int
    seconds: int
    connections: tuple[int, ...]
    memory_connections: tuple[int, ...]
    seed: int
    cpus: tuple[int, int]  # of the server, of the generator


def _say(words: str) -> None:
    print(f"load_bench.py: {words}", file=sys.stderr, flush=True)


def _steal() -> tuple[int, int]:
    """Clock ticks: stolen by other machines of the host, and all."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    ticks = [int(field) for field in fields]
    return ticks[7], sum(ticks)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _server_seconds(server: LocalServer) -> float:
    """CPU time of a server and its children: nginx serves in a child."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return sum(_cpu_seconds(pid) for pid in (server.pid, *map(int, children)))


@contextmanager
def _answerer(settings: Settings) -> Iterator[LocalServer]:
    with LocalServer([paths.binary("spawnpool-answerer")], cpu=settings.cpus[0]) as server:
        yield server


@contextmanager
def _nginx(settings: Settings) -> Iterator[LocalServer]:
    port = free_port()
    command = [paths.bin_dir() / "peer-nginx", "--port", port]
    with LocalServer(command, cpu=settings.cpus[0], port=port) as server:
        try:
            yield server
        finally:
            server.process.terminate()  # killed, it would leave its worker behind
            server.process.wait(10)


def _closed_loop(server: LocalServer, connections: int, settings: Settings) -> Json:
    report = run_load(
        server.url,
        *("--connections", connections, "--duration", f"{settings.seconds}s"),
        cpu=settings.cpus[1],
    )
    load: Json = report["load"]
    if load["counts"]["failed"] > 0:
        raise UsageError(f"requests failed, this is no benchmark: {load['error_examples']}")
    return load


def throughput(settings: Settings) -> list[Json]:
    """Requests per second of one generator core, spawnpool-load and wrk in pairs."""
    draw = random.Random(settings.seed)
    found = []
    for name, started in (("answerer", _answerer), ("nginx", _nginx)):
        if name == "nginx" and not os.access(paths.bin_dir() / "peer-nginx", os.X_OK):
            _say("nginx is left out: it is not built (package nginx-light)")
            continue
        with started(settings) as server:
            for connections in settings.connections:
                _say(f"{name}, {connections} connections, {settings.pairs} pairs")
                found.append(_paired(name, server, connections, settings, draw))
    return found


def _paired(
    name: str, server: LocalServer, connections: int, settings: Settings, draw: random.Random
) -> Json:
    """Pairs in blocks of two, ABBA or BAAB as drawn: neither side is favoured by a drift."""
    pairs: list[Json] = []
    while len(pairs) < settings.pairs:
        first = draw.choice(["spawnpool-load", "wrk"])
        for order in (first, "wrk" if first == "spawnpool-load" else "spawnpool-load"):
            if len(pairs) == settings.pairs:
                break
            sides = ["spawnpool-load", "wrk"]
            pair: Json = {"first": order}
            for side in sides if order == sides[0] else sides[::-1]:
                pair[side] = _side(side, server, connections, settings)
            pairs.append(pair)
    base = [pair["wrk"]["throughput_rps"] for pair in pairs]
    ours = [pair["spawnpool-load"]["throughput_rps"] for pair in pairs]
    ratio = paired_ratio(base, ours)
    return {
        "server": name,
        "connections": connections,
        "ratio": asdict(ratio),
        "wrk_rps": statistics.median(base),
        "spawnpool_load_rps": statistics.median(ours),
        # Which of both was the bottleneck.
        **{
            f"server_cpu_with_{side.replace('-', '_')}": statistics.median(
                pair[side]["server_cpu"] for pair in pairs
            )
            for side in ("spawnpool-load", "wrk")
        },
        "pairs": pairs,
    }


def _side(side: str, server: LocalServer, connections: int, settings: Settings) -> Json:
    cpu, began = _server_seconds(server), time.monotonic()
    if side == "wrk":
        report = run_wrk(server.url, connections, settings.seconds, settings.cpus[1])
        if report["errors"] > 0:
            raise UsageError(f"wrk had {report['errors']} errors, this is no benchmark")
        told = {"throughput_rps": report["throughput_rps"]}
    else:
        load = _closed_loop(server, connections, settings)
        told = {
            "throughput_rps": load["throughput_rps"],
            "generator_cpu": load["generator"]["cpu_utilization"],
        }
    told["server_cpu"] = (_server_seconds(server) - cpu) / (time.monotonic() - began)
    return told


def ceiling(settings: Settings) -> list[Json]:
    """The highest rates that the generator reaches on its core, with and without pipelining."""
    found = []
    with _answerer(settings) as server:
        for depth in (1, 16):
            rates = []
            for _ in range(3):
                load = run_load(
                    server.url,
                    *("--connections", 64, "--duration", f"{settings.seconds}s"),
                    *("--pipeline", depth),
                    cpu=settings.cpus[1],
                )["load"]
                rates.append(load["throughput_rps"])
            found.append({"connections": 64, "pipeline": depth, "rps": statistics.median(rates)})
    return found


def open_loop(settings: Settings) -> list[Json]:
    """How late requests are sent, at rates of an open loop."""
    found = []
    with _answerer(settings) as server:
        for rate in RATES:
            _say(f"open loop at {rate} requests/s, {settings.runs} runs")
            runs = []
            for seed in range(settings.runs):
                report = run_load(
                    server.url,
                    *("--connections", OPEN_LOOP_CONNECTIONS, "--rate", rate),
                    *("--duration", f"{settings.seconds}s"),
                    *("--seed", settings.seed + seed),
                    cpu=settings.cpus[1],
                )
                load, generator = report["load"], report["load"]["generator"]
                runs.append(
                    {
                        "lag_p50_us": generator["send_lag_p50_us"],
                        "lag_p99_us": generator["send_lag_us"],
                        "lag_max_us": generator["send_lag_max_us"],
                        "wait_p99_us": load["wait_us"]["p99"],
                        "throughput_rps": load["throughput_rps"],
                        "latency_p50_us": load["latency_us"]["p50"],
                        "latency_p99_us": load["latency_us"]["p99"],
                        "busy_share": generator["busy_share"],
                        "pacing": generator["pacing"],
                        "valid": report["validity"]["valid"],
                    }
                )
            medians = {
                key: statistics.median(run[key] for run in runs)
                for key in runs[0]
                if key not in ("pacing", "valid")
            }
            found.append({"rate_rps": rate, "median": medians, "runs": runs})
    return found


def memory(settings: Settings) -> Json:
    """Resident memory of the generator with ever more connections, and what one of them takes between
    each two: the same everywhere if nothing grows faster than they do."""
    sizes = sorted(settings.memory_connections)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < sizes[-1] + 100:
        needs = f"needs {sizes[-1] + 100} descriptors, the hard limit is {hard}"
        return {"resident": None, "steps": None, "reason": f"{needs}: raise it (ulimit -Hn)"}
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    resident = []
    with _answerer(settings) as server:
        for connections in sizes:
            _say(f"memory with {connections} connections")
            size = _peak_resident(server, connections, settings)
            resident.append({"connections": connections, "bytes": size})
    steps = [
        {
            "from": few["connections"],
            "to": many["connections"],
            "bytes_per_connection": (many["bytes"] - few["bytes"])
            / (many["connections"] - few["connections"]),
        }
        for few, many in zip(resident, resident[1:])
    ]
    return {"resident": resident, "steps": steps, "reason": None}


def _peak_resident(server: LocalServer, connections: int, settings: Settings) -> int:
    command = load_command(
        server.url,
        *("--connections", connections, "--duration", f"{settings.seconds + 1}s"),
        cpu=settings.cpus[1],
    )
    peak = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status").read_text()
            for line in status.splitlines():
                if line.startswith("VmHWM:"):
                    peak = max(peak, int(line.split()[1]) * 1024)
            time.sleep(0.02)
    if process.returncode not in (0, 3) or peak == 0:
        raise UsageError(f"exit {process.returncode} of {' '.join(command)}")
    return peak


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median([run[name] for run in runs]) for name in QUANTILES}


def accuracy(settings: Settings, designs: Sequence[Design] = DESIGNS) -> list[Json]:
    """Open loop against known latencies; beside it what closed loops say of a server that stalls."""
    found = []
    for design in designs:
        _say(f"accuracy, {design.name}, {settings.accuracy_runs} runs")
        runs, excluded = measure_undisturbed(
            design, settings.cpus, settings.accuracy_runs, settings.seed
        )
        entry: Json = {
            "design": asdict(design),
            "runs": [
                {"truth_us": run.truth, "measured_us": run.measured, "away_us": run.away_us}
                for run in runs
            ],
            "excluded_away_us": excluded,
            "truth_us": None,
            "measured_us": None,
            "within": None,
            "closed_loop_us": None,
        }
        if len(runs) == settings.accuracy_runs:
            entry.update(
                truth_us=_medians([run.truth for run in runs]),
                measured_us=_medians([run.measured for run in runs]),
                within={
                    name: statistics.median([abs(run.errors[name]) for run in runs])
                    <= statistics.median([tolerance_us(run.truth[name]) for run in runs])
                    for name in QUANTILES
                },
            )
        if design.stall_s > 0 or design.frozen_s > 0:
            entry["closed_loop_us"] = closed_loops(design, settings.cpus)
        found.append(entry)
    return found


def run(settings: Settings, sections: Sequence[str]) -> Json:
    """Measures the ceiling, which tells what all else is to be held against, and the given sections;
    the others are null."""
    stolen, all_before = _steal()
    context = gather_context()
    for name in ("spawnpool-load", "spawnpool-answerer"):
        context["binaries"][name] = hashlib.sha256(paths.binary(name).read_bytes()).hexdigest()
    measured = {
        "throughput": throughput(settings) if "throughput" in sections else None,
        "ceiling": ceiling(settings),
        "open_loop": open_loop(settings) if "open-loop" in sections else None,
        "memory": memory(settings) if "memory" in sections else None,
        "accuracy": accuracy(settings) if "accuracy" in sections else None,
    }
    stolen_after, all_after = _steal()
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "load-bench",
        "context": context,
        "settings": asdict(settings),
        # Time that other machines of the host took from this one: what it explains is no error here.
        "steal_share": (stolen_after - stolen) / max(all_after - all_before, 1),
        **measured,
    }


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(_positive(part) for part in text.split(","))


def _sizes(text: str) -> tuple[int, ...]:
    sizes = _numbers(text)
    if len(set(sizes)) != len(sizes) or len(sizes) < 2:
        raise argparse.ArgumentTypeError(f"{text}: give two different numbers or more")
    return sizes


def _parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, tuple[str, ...]]:
    parser = argparse.ArgumentParser(prog="load_bench.py", description=__doc__)
    add = parser.add_argument
    add("--pairs", type=_positive, default=20, help="of spawnpool-load and wrk (default 20)")
    add("--runs", type=_positive, default=10, help="of the open loop at each rate (default 10)")
    add("--accuracy-runs", type=_positive, default=5, help="of each design (default 5)")
    add("--seconds", type=_positive, default=2, help="of load in each run (default 2)")
    add("--connections", type=_numbers, default=(16, 64, 256), help="default 16,64,256")
    sizes = (1_000, 5_000, 10_000)
    add("--memory-connections", type=_sizes, default=sizes, help="default 1000,5000,10000")
    add("--seed", type=int, default=1, help="of what is drawn (default 1)")
    add(
        "--only",
        default=",".join(SECTIONS),
        help=f"of {','.join(SECTIONS)}; the ceiling is always measured",
    )
    add("--out", type=Path, help="the result (default results/load-bench-TIME.json)")
    parsed = parser.parse_args(arguments)
    sections = tuple(parsed.only.split(","))
    for section in sections:
        if section not in SECTIONS:
            parser.error(f"--only {section}: there are {', '.join(SECTIONS)}")
    return parsed, sections


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 measured and every goal met, 1 a goal missed, 2 a mistake in what was asked or a
    machine that cannot do it."""
    parsed, sections = _parse(arguments)
    try:
        cpus = cpus_apart()
        if cpus is None:
            raise UsageError("one CPU: server and generator need one each to be told apart")
        stamp = utc_now().partition(".")[0].replace("-", "").replace(":", "") + "Z"
        out: Path = parsed.out or paths.RESULTS / f"load-bench-{stamp}.json"
        claim(out)
        try:
            settings = Settings(
                parsed.pairs,
                parsed.runs,
                parsed.accuracy_runs,
                parsed.seconds,
                parsed.connections,
                parsed.memory_connections,
                parsed.seed,
                cpus,
            )
            with machine_lock():
                result = run(settings, sections)
            write_result(out, result)
        except BaseException:
            out.unlink()
            raise
        print_bench(result, sys.stdout)
        print(out)
        missed = missed_goals(result)
        for goal in missed:
            _say(f"missed: {goal}")
        return 1 if missed else 0
    except UsageError as error:
        print(f"load_bench.py: {error}", file=sys.stderr)
        return 2
