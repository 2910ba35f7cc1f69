"""How far a run is, shown while it runs."""
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.progress import TimeElapsedColumn, TimeRemainingColumn

from spawnpool.documents import Json
from spawnpool.load import point_title
from spawnpool.metrics import leaf
from spawnpool.micro import micro_failures
from spawnpool.table import number


@contextmanager
def progress(done: int, left: int) -> Iterator[Callable[[str], None]]:
    """Shows on stderr how far the run is: a bar on a terminal, else a line per step.

    Yields what to call after each step, a trial or the micro-benchmarks, with what it found."""
    console = Console(stderr=True)
    if not console.is_terminal:
        count = done

        def print_line(found: str) -> None:
            nonlocal count
            count += 1
            print(f"[{count}/{done + left}] {found}", file=sys.stderr, flush=True)

        yield print_line
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TextColumn("elapsed"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    # Drawn once a second: the cores belong to the trial.
    with Progress(
        *columns, console=console, refresh_per_second=1, speed_estimate_period=3600
    ) as bar:
        task = bar.add_task("running", total=done + left, completed=done)

        def advance(found: str) -> None:
            bar.update(task, advance=1, description=found)

        yield advance


def describe_trial(kind: str, trial: Json) -> str:
    """A trial in a line; `kind` is "trials" or "calibration"."""
    where = "calibration, " if kind == "calibration" else ""
    where += f"{trial['target']}, {point_title(trial['scenario'], trial['point'])}"
    if trial["status"] != "valid":
        return f"{where}: {trial['status']} ({trial['reasons'][0]['code']})"
    rate, p99 = leaf(trial, "load.throughput_rps"), leaf(trial, "load.latency_us.p99")
    offered = leaf(trial, "load.offered_rps")
    of_offered = "" if offered is None else f" of {number(offered)} offered"
    return f"{where}: {number(rate)}{of_offered} requests/s, p99 {number(p99)} µs"


def describe_micro(runs: list[Json]) -> str:
    """A repetition of the micro-benchmarks in a line."""
    place = f"repetition {runs[0]['repetition_index'] + 1} of {runs[0]['repetitions']}"
    failed = len(micro_failures(runs))
    told = f"micro-benchmarks, {place}: {len(runs)} runs"
    return f"{told}, {failed} failed" if failed else told
