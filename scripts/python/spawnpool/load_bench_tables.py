"""The benchmarks of the load generator as tables, each number beside the goal it has to meet."""
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from spawnpool.documents import Json
from spawnpool.load_truth import QUANTILES
from spawnpool.table import number

LEAST_RATIO = {"answerer": 1.25, "nginx": 1.0}
MOST_LAG_P50_US, MOST_LAG_P99_US, MOST_WAIT_P99_US = 2.0, 100.0, 100.0
MOST_BYTES_PER_CONNECTION = 2048


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
    return table


def _goal(met: bool, words: str) -> str:
    return f"{words}: {'met' if met else 'MISSED'}"


def _throughput_met(entry: Json) -> bool:
    met: bool = entry["ratio"]["ratio"] >= LEAST_RATIO[entry["server"]]
    return met


def _open_loop_met(entry: Json) -> bool:
    median = entry["median"]
    met: bool = (
        median["lag_p50_us"] <= MOST_LAG_P50_US
        and median["lag_p99_us"] <= MOST_LAG_P99_US
        and median["wait_p99_us"] <= MOST_WAIT_P99_US
    )
    return met


def _memory_met(step: Json) -> bool:
    met: bool = step["bytes_per_connection"] <= MOST_BYTES_PER_CONNECTION
    return met


def _accuracy_met(entry: Json) -> bool:
    """Without enough runs that nothing disturbed, nothing shows that the goal is met."""
    return entry["within"] is not None and all(entry["within"].values())


def missed_goals(result: Json) -> list[str]:
    """A word on each goal that was not met, or could not be shown to be, of the sections measured."""
    return list(_missed(result))


def _missed(result: Json) -> Iterator[str]:
    for entry in result["throughput"] or []:
        if not _throughput_met(entry):
            yield f"throughput, {entry['server']}, {entry['connections']} connections"
    for entry in result["open_loop"] or []:
        if not _open_loop_met(entry):
            yield f"open loop at {entry['rate_rps']} requests/s"
    if result["memory"] is not None:
        if result["memory"]["steps"] is None:
            yield f"memory: {result['memory']['reason']}"
        for step in result["memory"]["steps"] or []:
            if not _memory_met(step):
                yield f"memory between {step['from']} and {step['to']} connections"
    for entry in result["accuracy"] or []:
        if not _accuracy_met(entry):
            few = ", too few undisturbed runs" if entry["within"] is None else ""
            yield f"accuracy, {entry['design']['name']}{few}"


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
            _goal(_throughput_met(entry), f"at least {least}"),
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
        "send lag in open loop, µs, medians of the runs; wait: of all requests, intended to sent",
        *("rate, requests/s", "achieved", "p50", "p99", "max", "wait p99"),
        *("latency p50", "latency p99"),
        *("runs", "goal"),
    )
    for entry in found:
        median = entry["median"]
        goals = f"p50 {MOST_LAG_P50_US:.0f}, p99 {MOST_LAG_P99_US:.0f}, wait {MOST_WAIT_P99_US:.0f}"
        table.add_row(
            number(entry["rate_rps"]),
            number(round(median["throughput_rps"])),
            *(number(median[f"lag_{name}_us"]) for name in ("p50", "p99", "max")),
            number(median["wait_p99_us"]),
            *(number(median[f"latency_{name}_us"]) for name in ("p50", "p99")),
            str(len(entry["runs"])),
            _goal(_open_loop_met(entry), goals),
        )
    return table


def _memory(found: Json) -> Table:
    table = _table("resident memory", "of the generator", "bytes per connection", "goal")
    if found["steps"] is None:
        table.add_row(found["reason"], "–", _goal(False, "cannot tell"))
    for step in found["steps"] or []:
        table.add_row(
            f"between {step['from']:,} and {step['to']:,} connections",
            number(round(step["bytes_per_connection"])),
            _goal(_memory_met(step), f"at most {MOST_BYTES_PER_CONNECTION}"),
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
        name, truth = entry["design"]["name"], entry["truth_us"]
        if truth is None:
            goal = _goal(False, "too few undisturbed runs")
            table.add_row(name, "", *["–"] * len(QUANTILES), *counts, goal)
        else:
            table.add_row(name, "known", *row(truth), "", "", "")
            goal = _goal(_accuracy_met(entry), "within 1 % or 0.1 ms")
            table.add_row("", "open loop", *row(entry["measured_us"]), *counts, goal)
        for generator, values in (entry["closed_loop_us"] or {}).items():
            table.add_row("", f"closed loop, {generator}", *row(values), "", "", "")
            if truth is not None:
                errors = [f"{(values[name] - truth[name]) / 1000:+.2f}" for name in QUANTILES]
                table.add_row("", "  its error", *errors, "", "", "")
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
