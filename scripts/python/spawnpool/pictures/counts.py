"""What was counted of a request and of a connection, divided into its parts: stacked bars."""
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import StrMethodFormatter

from spawnpool.documents import Json
from spawnpool.load import point_title
from spawnpool.metrics import leaf
from spawnpool.pictures.frame import (
    Picture,
    absent,
    framed,
    legend_beside,
    trial_counts,
    valid_trials,
)
from spawnpool.table import number

# In the order in which a connection comes through them.
PHASES = ("accept", "hand_off", "setup", "read", "parse", "handle", "write", "close", "other")
# Okabe and Ito's eight colours, and grey for what is left.
PARTS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
REST, REST_COLOUR = "other", "#BBBBBB"
UNDIVIDED = {"facecolor": "white", "edgecolor": "#666666", "hatch": "//"}
DARK = ("#000000", "#009E73", "#0072B2", "#D55E00")
LEAST_LABELLED = 0.07  # of the axis' width: a narrower segment has no room for its number


@dataclass(frozen=True)
class Count:
    """What is counted: `totals` are the metrics of a request and of a connection. `parts` is the path
    in a trial of an object of parts, each with the numbers under `keys`, of a request and of a
    connection. The parts come in `order`, or, where it is None, the largest first."""

    name: str
    title: str
    unit: str
    totals: tuple[str, str]
    parts: str
    keys: tuple[str, str]
    order: tuple[str, ...] | None


COUNTS = (
    Count(
        "allocations",
        "Heap allocations of the server, by what it was doing",
        "allocations",
        ("server.allocations.per_request", "server.allocations.per_connection"),
        "server.allocations.by_phase",
        ("per_request", "per_connection"),
        PHASES,
    ),
    Count(
        "allocated-bytes",
        "Bytes the server allocated, by what it was doing",
        "bytes",
        ("server.allocations.bytes_per_request", "server.allocations.bytes_per_connection"),
        "server.allocations.by_phase",
        ("bytes_per_request", "bytes_per_connection"),
        PHASES,
    ),
    Count(
        "system-calls-by-phase",
        "System calls of the server, by what it was doing",
        "system calls",
        ("server.syscalls_per_request", "server.syscalls_per_connection"),
        "server.syscalls_by_phase",
        ("per_request", "per_connection"),
        PHASES,
    ),
    Count(
        "system-calls",
        "System calls of the server, by name",
        "system calls",
        ("server.syscalls_per_request", "server.syscalls_per_connection"),
        "server.syscalls_by_name",
        ("per_request", "per_connection"),
        None,
    ),
)


@dataclass(frozen=True)
class Bar:
    """A target's: its total, None where that was not measured, and its parts, None where it is not
    divided."""

    target: str
    total: float | None
    parts: dict[str, float] | None


def draw(result: Json) -> Iterator[Picture]:
    """A picture for each of COUNTS, with a row of two panels for each scenario and point."""
    for count in COUNTS:
        entries = [
            entry
            for entry in result["summary"]
            if any(_total(t, path) is not None for t in entry["targets"] for path in count.totals)
        ]
        if entries:
            yield Picture(count.name, _figure(result, count, entries))
        else:
            yield absent(count.name, result, count.totals[0])


def _total(target: Json, path: str) -> float | None:
    total: float | None = target["metrics"][path]["median"]
    return total


def _figure(result: Json, count: Count, entries: list[Json]) -> Figure:
    panels = [
        [_bars(result, count, entry, side) for side in range(len(count.totals))]
        for entry in entries
    ]
    order = count.order or _largest_first([bar for row in panels for bars in row for bar in bars])
    colours = dict(zip((part for part in order if part != REST), PARTS))
    targets = len(result["suite"]["targets"])
    size = (13.0, 1.7 + (1.3 + 0.5 * targets) * len(entries))
    figure = framed(result, count.title, _caption(result, count, entries), size)
    axes_of = figure.subplots(len(entries), len(count.totals), squeeze=False)
    for entry, row, bars_of in zip(entries, axes_of, panels):
        title = point_title(entry["scenario"], entry["point"])
        for axes, bars, per in zip(row, bars_of, ("request", "connection")):
            axes.set_title(f"{title}: per {per}", pad=8)
            axes.set_xlabel(f"{count.unit} per {per}")
            _stack(axes, bars, order, colours)
        row[1].tick_params(labelleft=False)
    drawn = {part for row in panels for bars in row for bar in bars for part in bar.parts or {}}
    handles = [
        Patch(facecolor=colours.get(part, REST_COLOUR), label=part)
        for part in order
        if part in drawn and part in colours
    ]
    if drawn - set(colours):
        handles.append(Patch(facecolor=REST_COLOUR, label=REST))
    if any(bar.parts is None and bar.total for row in panels for bars in row for bar in bars):
        handles.append(Patch(label="not divided", **UNDIVIDED))
    legend_beside(axes_of[0][-1], handles)
    return figure


def _bars(result: Json, count: Count, entry: Json, side: int) -> list[Bar]:
    trials = valid_trials(result, entry)
    return [
        Bar(
            target["target"],
            _total(target, count.totals[side]),
            _parts(trials[target["target"]], count.parts, count.keys[side]),
        )
        for target in entry["targets"]
    ]


def _parts(trials: list[Json], path: str, key: str) -> dict[str, float] | None:
    """The medians of the trials; only of parts that are not 0."""
    told = [parts for parts in (leaf(trial, path) for trial in trials) if parts is not None]
    if not told:
        return None
    names = {name for parts in told for name in parts}
    medians = {
        name: statistics.median(parts[name][key] if name in parts else 0.0 for parts in told)
        for name in names
    }
    return {name: value for name, value in medians.items() if value != 0}


def _largest_first(bars: list[Bar]) -> tuple[str, ...]:
    """By the largest share that a part has of a bar."""
    shares: dict[str, float] = {}
    for bar in bars:
        whole = sum(abs(value) for value in (bar.parts or {}).values())
        for part, value in (bar.parts or {}).items():
            shares[part] = max(shares.get(part, 0.0), abs(value) / whole)
    return tuple(sorted(shares, key=lambda part: (-shares[part], part)))


def _stack(axes: Axes, bars: list[Bar], order: Sequence[str], colours: dict[str, str]) -> None:
    """Parts below 0 to the left of it, the others to its right, and each bar's total at its end."""
    ends = [_ends(bar) for bar in bars]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    span = (high - low) or 1.0
    axes.set_xlim(low - (0.05 * span if low < 0 else 0), high + 0.22 * span)
    axes.set_yticks(range(len(bars)), [bar.target for bar in bars])
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.axvline(0, color="#444444", lw=1)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.12g}"))
    for place, (bar, (_, end)) in enumerate(zip(bars, ends)):
        if bar.total is None:
            _write(axes, 0.0, place, "not measured")
            continue
        if bar.parts is None:
            axes.barh(place, bar.total, 0.7, **UNDIVIDED)
        else:
            _segments(axes, place, bar.parts, order, colours, LEAST_LABELLED * 1.27 * span)
        _write(axes, end, place, number(bar.total))


def _ends(bar: Bar) -> tuple[float, float]:
    parts = (bar.parts if bar.parts is not None else {"": bar.total or 0.0}).values()
    return sum(value for value in parts if value < 0), sum(value for value in parts if value > 0)


def _write(axes: Axes, x: float, place: int, text: str) -> None:
    axes.annotate(
        text, (x, place), (5, 0), textcoords="offset points", va="center", fontweight="bold"
    )


def _segments(
    axes: Axes,
    place: int,
    parts: dict[str, float],
    order: Sequence[str],
    colours: dict[str, str],
    least: float,
) -> None:
    ends = {True: 0.0, False: 0.0}  # of the parts above 0, and of those below
    rest = sum(value for part, value in parts.items() if part not in colours)
    named = [
        (part, parts[part], colours[part]) for part in order if part in parts and part in colours
    ]
    for _, value, colour in [*named, (REST, rest, REST_COLOUR)]:
        left = ends[value > 0]
        ends[value > 0] += value
        if value == 0:
            continue
        axes.barh(place, value, 0.7, left=left, color=colour, edgecolor="white", linewidth=0.8)
        if abs(value) >= least:
            ink = "white" if colour in DARK else "black"
            axes.text(left + value / 2, place, number(value), ha="center", va="center", color=ink)


def _caption(result: Json, count: Count, entries: list[Json]) -> str:
    words = (
        "Counted in passes of their own, apart from timing, over connections of 1 request and of more: "
        "the difference is a request's, the rest a connection's. Bars: the medians of the valid trials "
        f"that counted (n = {trial_counts(entries, count.totals[0])}); counts have no interval. Bold: the "
        "total."
    )
    if count.parts.startswith("server.allocations."):
        told = {leaf(trial, "server.allocations.source") for trial in result["trials"]} - {None}
        words += f" Counted by: {', '.join(sorted(told))}."
    reasons = {
        trial["unmeasured"][count.parts]
        for trial in result["trials"]
        if trial["status"] == "valid"
        and leaf(trial, count.totals[0]) is not None
        and leaf(trial, count.parts) is None
    }
    return f"{words} Not divided: {'; '.join(sorted(reasons))}." if reasons else words
