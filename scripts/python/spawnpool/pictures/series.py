"""Along the window: what the generator saw and what the server was and had, on one clock."""
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from spawnpool.documents import Json
from spawnpool.durations import seconds
from spawnpool.load import load_of, point_title
from spawnpool.metrics import leaf
from spawnpool.pictures.frame import Picture, framed, legend_beside, span, valid_trials

LOAD, SERVER, STATUS = "load.time_series", "server.time_series", "server.time_series.status"


@dataclass(frozen=True)
class Line:
    """The numbers under `key` of a trial's series at the path `series`, divided by `unit`."""

    series: str
    key: str
    label: str
    colour: str
    unit: float = 1.0


# A row of panels each, with the name of its axis.
ROWS = (
    (
        "requests/s",
        (
            Line(LOAD, "answered", "answered", "#0072B2"),
            Line(LOAD, "errors", "refused or failed", "#D55E00"),
        ),
    ),
    (
        "connections",
        (
            Line(STATUS, "connections_open", "open", "#0072B2"),
            Line(STATUS, "queued", "in the queue", "#E69F00"),
        ),
    ),
    (
        "threads",
        (
            Line(SERVER, "threads", "all", "#000000"),
            Line(STATUS, "threads_busy", "busy", "#0072B2"),
            Line(STATUS, "threads_ready", "ready", "#009E73"),
        ),
    ),
    (
        "CPU time,\nshare of its cores",
        (Line(SERVER, "cpu_utilization", "server", "#0072B2"),),
    ),
    ("resident\nmemory, MiB", (Line(SERVER, "rss_bytes", "server", "#0072B2", 2.0**20),)),
)
COUNTED = ("connections", "threads")
INSIDE = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
CAPTION = (
    "Requests are those of {interval}. The server was looked at about every 100 ms; what came and went "
    "between two looks is not seen. Bold: the trial of median throughput; thin: the other valid trials "
    "({n}). Single trials: there is no interval."
)


def draw(result: Json) -> Iterator[Picture]:
    """A picture for each scenario and point at which the load is not even or is to be refused."""
    scenarios = {scenario["name"]: scenario for scenario in result["suite"]["scenarios"]}
    for entry in result["summary"]:
        scenario = scenarios[entry["scenario"]]
        load = load_of(scenario, entry["point"])
        if "burst" in load or "shutdown_after" in load or "limits" in scenario:
            yield _picture(result, entry, load)


def _picture(result: Json, entry: Json, load: Json) -> Picture:
    title = point_title(entry["scenario"], entry["point"])
    name = "series-" + re.sub(r"[^a-z0-9.]+", "-", title.lower()).strip("-")
    trials = valid_trials(result, entry)
    all_of = [trial for own in trials.values() for trial in own]
    if not all_of:
        return Picture(name, None, "no valid trial")
    if all(leaf(trial, path) is None for trial in all_of for path in (LOAD, SERVER)):
        reasons = {trial["unmeasured"][path] for trial in all_of for path in (LOAD, SERVER)}
        return Picture(name, None, "; ".join(sorted(reasons)))
    return Picture(name, _figure(result, title, trials, load))


def _figure(result: Json, title: str, trials: dict[str, list[Json]], load: Json) -> Figure:
    size = (3.2 + 3.0 * len(trials), 2.1 + 1.75 * len(ROWS))
    figure = framed(result, f"Along the window: {title}", _caption(trials), size)
    axes_of = figure.subplots(len(ROWS), len(trials), squeeze=False, sharex=True, sharey="row")
    for (name, lines), row in zip(ROWS, axes_of):
        for axes, own in zip(row, trials.values()):
            _panel(axes, own, lines)
        row[0].set_ylabel(name)
        row[0].set_ylim(0, 1.06 * row[0].get_ylim()[1])
        row[0].yaxis.set_major_locator(MaxNLocator(4, integer=name in COUNTED))
        row[0].yaxis.set_major_formatter(StrMethodFormatter("{x:,.12g}"))
        if len(lines) > 1:
            legend_beside(
                row[-1], [Line2D([], [], color=it.colour, label=it.label) for it in lines]
            )
    figure.align_ylabels()
    axes_of[0][0].set_xlim(left=0)
    for axes, name in zip(axes_of[0], trials):
        axes.set_title(name, pad=8)
    for axes in axes_of[-1]:
        axes.set_xlabel("s since the window began")
    if "shutdown_after" in load:
        at = seconds(load["shutdown_after"])
        for axes in axes_of.flat:
            axes.axvline(at, color="#CC79A7", ls="--", lw=1.5)
        for axes in axes_of[0]:
            axes.annotate("SIGTERM", (at, 1), (4, -2), va="top", **INSIDE)
    return figure


def _caption(trials: dict[str, list[Json]]) -> str:
    series = [leaf(trial, LOAD) for own in trials.values() for trial in own]
    intervals = {f"{1000 * told['interval_s']:g} ms" for told in series if told is not None}
    n = f"n = {span(len(own) for own in trials.values())} per target"
    return CAPTION.format(interval=" and ".join(sorted(intervals)) or "no interval", n=n)


def _panel(axes: Axes, trials: list[Json], lines: tuple[Line, ...]) -> None:
    drawn = False
    # Bold where it stands in the middle, the lower one of two.
    ordered = sorted(trials, key=lambda trial: float(leaf(trial, "load.throughput_rps") or 0))
    for place, trial in enumerate(ordered):
        bold = place == (len(ordered) - 1) // 2
        look = {"lw": 1.8, "zorder": 3} if bold else {"lw": 0.8, "alpha": 0.45}
        for line in lines:
            series = leaf(trial, line.series)
            if series is None:
                continue
            drawn = True
            if line.series == LOAD:
                each = series["interval_s"]
                rates = np.array(series[line.key], dtype=float) / each
                edges = each * np.arange(len(rates) + 1)
                axes.stairs(rates, edges, color=line.colour, **look)
            else:
                values = np.array(series[line.key], dtype=float) / line.unit
                axes.plot(series["t_s"], values, ".-", ms=4, color=line.colour, **look)
    if not drawn:
        why = "not measured" if trials else "no valid trial"
        axes.text(0.5, 0.5, why, ha="center", va="center", transform=axes.transAxes)
