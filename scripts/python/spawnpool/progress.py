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
from spawnpool.table import number


@contextmanager
def progress(done: int, left: int) -> Iterator[Callable[[str, Json], None]]:
    """Shows on stderr how far the run is: a bar on a terminal, else a line per trial.

    Yields what to call with each trial and what it is of, "trials" or "calibration"."""
    console = Console(stderr=True)
    if not console.is_terminal:
        count = done

        def print_line(kind: str, trial: Json) -> None:
            nonlocal count
            count += 1
            print(f"[{count}/{done + left}] {_describe(kind, trial)}", file=sys.stderr, flush=True)

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

        def advance(kind: str, trial: Json) -> None:
            bar.update(task, advance=1, description=_describe(kind, trial))

        yield advance


def _describe(kind: str, trial: Json) -> str:
    where = "calibration, " if kind == "calibration" else ""
    where += f"{trial['target']}, {point_title(trial['scenario'], trial['point'])}"
    if trial["status"] != "valid":
        return f"{where}: {trial['status']} ({trial['reasons'][0]['code']})"
    rate, p99 = leaf(trial, "load.throughput_rps"), leaf(trial, "load.latency_us.p99")
    offered = leaf(trial, "load.offered_rps")
    of_offered = "" if offered is None else f" of {number(offered)} offered"
    return f"{where}: {number(rate)}{of_offered} requests/s, p99 {number(p99)} µs"
