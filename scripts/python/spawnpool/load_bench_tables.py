"""The benchmarks of the load generator as tables, each number beside the goal it has to meet."""
from collections.abc import Callable
from typing import Any, Optional, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from spawnpool.documents import Json
from spawnpool.load_truth import QUANTILES
from spawnpool.table import number

LEAST_RATIO = {"answerer": 1.25, "nginx": 1.0}
MOST_LAG_P50_US, MOST_LAG_P99_US = 2.0, 100.0
MOST_BYTES_PER_CONNECTION = 2048


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
    return table


def _goal(met: bool, words: str) -> str:
    return f"{words}: {'met' if met else 'MISSED'}"


def _throughput(found: list[Json]) -> Table:
    table = _table(
        "requests/s of one generator core, closed loop",
        *("server, connections", "wrk", "spawnpool-load", "ratio", "interval", "n"),
        *("server's CPU with wrk, with ours", "goal"),
    )
    for entry in found:
        ratio, least = entry["ratio"], LEAST_RATIO[entry["server"]]
        interval = ratio["interval"]
        table.add_row(
            f"{entry['server']}, {entry['connections']}",
            number(round(entry["wrk_rps"])),
            number(round(entry["spawnpool_load_rps"])),
            f"{ratio['ratio']:.3f}",
            "–" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}",
            str(ratio["pairs"]),
            f"{entry['server_cpu_with_wrk']:.0%}, {entry['server_cpu_with_spawnpool_load']:.0%}",
            _goal(ratio["ratio"] >= least, f"at least {least}"),
        )
    return table


def _ceiling(found: list[Json]) -> Table:
    table = _table("the generator's ceiling, against the answerer", "connections", "requests/s")
    for entry in found:
        name = f"{entry['connections']}, {entry['pipeline']} requests under way on each"
        table.add_row(name, number(round(entry["rps"])))
    return table


def _open_loop(found: list[Json]) -> Table:
    table = _table(
        "send lag in open loop, µs, medians of the runs",
        *("rate, requests/s", "achieved", "p50", "p99", "max", "latency p50", "latency p99"),
        *("runs", "goal"),
    )
    for entry in found:
        median = entry["median"]
        met = median["lag_p50_us"] <= MOST_LAG_P50_US and median["lag_p99_us"] <= MOST_LAG_P99_US
        table.add_row(
            number(entry["rate_rps"]),
            number(round(median["throughput_rps"])),
            *(number(median[f"lag_{name}_us"]) for name in ("p50", "p99", "max")),
            *(number(median[f"latency_{name}_us"]) for name in ("p50", "p99")),
            str(len(entry["runs"])),
            _goal(met, f"p50 {MOST_LAG_P50_US:.0f}, p99 {MOST_LAG_P99_US:.0f}"),
        )
    return table


def _memory(found: Json) -> Table:
    table = _table("resident memory", "of the generator", "bytes per connection", "goal")
    size: Optional[float] = found["bytes_per_connection"]
    if size is None:
        table.add_row(found["reason"], "–", "–")
    else:
        met = size <= MOST_BYTES_PER_CONNECTION
        table.add_row(
            "between 1,000 and 10,000 connections",
            number(round(size)),
            _goal(met, f"at most {MOST_BYTES_PER_CONNECTION}"),
        )
    return table


def _accuracy(found: list[Json]) -> Table:
    table = _table(
        "latency, ms: known and reported (open loop, medians of the runs)",
        *("server", "", *QUANTILES, "runs", "excluded", "goal"),
    )

    def row(values: dict[str, Any]) -> list[str]:
        return [f"{values[name] / 1000:.2f}" for name in QUANTILES]

    for entry in found:
        counts = (str(len(entry["runs"])), str(len(entry["excluded_away_us"])))
        if entry["within"] is None:
            unknown = ["–"] * len(QUANTILES)
            table.add_row(entry["design"]["name"], "", *unknown, *counts, "cannot tell")
        else:
            table.add_row(entry["design"]["name"], "known", *row(entry["truth_us"]), "", "", "")
            met = all(entry["within"].values())
            goal = _goal(met, "within 1 % or 0.1 ms")
            table.add_row("", "open loop", *row(entry["measured_us"]), *counts, goal)
        for name, values in (entry["closed_loop_us"] or {}).items():
            table.add_row("", f"closed loop, {name}", *row(values), "", "", "")
    return table


def print_bench(result: Json, file: TextIO) -> None:
    """Prints what was measured, a table for each section."""
    console = Console(file=file, width=140, highlight=False)
    tables: dict[str, Callable[[Any], Table]] = {
        "throughput": _throughput,
        "ceiling": _ceiling,
        "open_loop": _open_loop,
        "memory": _memory,
        "accuracy": _accuracy,
    }
    for section, draw in tables.items():
        if result[section] is not None:
            console.print(draw(result[section]))
    console.print(f"time stolen from this machine: {result['steal_share']:.2%}")
