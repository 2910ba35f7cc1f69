"""The command `plot`: pictures of a result, each as SVG and PNG."""
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, StrMethodFormatter
from numpy.typing import NDArray

from spawnpool.documents import Json
from spawnpool.errors import UsageError
from spawnpool.histogram import BadHistogram, Histogram, decode
from spawnpool.load import point_title
from spawnpool.metrics import METRICS, SERVED, THROUGHPUT, shown
from spawnpool.results import ResultSchema, read_result
from spawnpool.table import number

# Okabe and Ito's palette, told apart with every kind of colour vision; the second sign is a marker.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
MARKERS = ("o", "s", "^", "D", "v", "P")
PERCENTILE_TICKS = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)

_STYLE = {
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.3,
    "svg.hashsalt": "spawnpool",  # the same result gives the same bytes
    "savefig.dpi": 150,
}


def plot(result_path: Path, out: Path) -> list[Path]:
    """Draws every picture into the directory `out` and returns the files, SVG before PNG.

    UsageError when the file is no result or holds no valid trial."""
    result = read_result(result_path, ResultSchema())
    if not any(trial["status"] == "valid" for trial in result["trials"]):
        raise UsageError(f"{result_path} has no valid trial to draw: run the suite again")
    out.mkdir(parents=True, exist_ok=True)
    files = []
    for name, figure in figures(result):
        for suffix, metadata in ((".svg", {"Date": None}), (".png", {"Software": None})):
            path = out / f"{name}{suffix}"
            with matplotlib.rc_context(_STYLE):
                figure.savefig(path, metadata=metadata)
            files.append(path)
    return files


def figures(result: Json) -> Iterator[tuple[str, Figure]]:
    """The pictures of a result with valid trials, by name."""
    with matplotlib.rc_context(_STYLE):
        yield "throughput", _panels(result, "Throughput: every trial, and the median", _throughput)
        yield "latency", _panels(
            result, "Latency by percentile: every trial, and the median of the trials", _latency
        )
        found = sweeps(result)
        if found:
            yield "latency-vs-rate", _latency_vs_rate(result, found)
        if any(_counts_allocations(entry) for entry in result["summary"]):
            yield "allocations", _panels(result, "Heap allocations of the server", _allocations)


Panel = Callable[[Axes, Json, Json, dict[str, list[Json]]], None]


def _panels(result: Json, title: str, draw: Panel) -> Figure:
    """One panel per scenario and point, drawn from its summary entry and valid trials by target."""
    entries = result["summary"]
    width = max(4.2, 2.1 * len(result["suite"]["targets"]))  # room for the names below the axis
    figure, grid = _grid(result, title, len(entries), width)
    for axes, entry in zip(grid, entries):
        here = [
            trial
            for trial in result["trials"]
            if (trial["scenario"], trial["point"]) == (entry["scenario"], entry["point"])
        ]
        trials = {
            target["target"]: [
                trial
                for trial in here
                if trial["target"] == target["target"] and trial["status"] == "valid"
            ]
            for target in entry["targets"]
        }
        axes.set_title(point_title(entry["scenario"], entry["point"]), pad=10)
        if any(trials.values()):
            draw(axes, result, entry, trials)
        else:
            _say_nothing_measured(axes)
    return figure


def _grid(result: Json, title: str, count: int, width: float) -> tuple[Figure, list[Axes]]:
    """A figure with its title and `count` panels, each `width` inches wide."""
    columns = min(count, 3)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(1.2 + width * columns, 1.2 + 3.9 * rows), layout="constrained")
    figure.suptitle(f"{title}\nsuite {result['suite']['name']}, {_date(result)}", fontsize=13)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in panels[count:]:
        axes.set_visible(False)
    return figure, panels[:count]


def _date(result: Json) -> str:
    return str(result["context"]["date"])[:10]


def _say_nothing_measured(axes: Axes, why: str = "no valid trial") -> None:
    axes.text(0.5, 0.5, why, ha="center", va="center", transform=axes.transAxes)
    axes.set_xticks([])
    axes.set_yticks([])


def _throughput(axes: Axes, result: Json, entry: Json, trials: dict[str, list[Json]]) -> None:
    (metric,) = (m for m in METRICS if m.path == _throughput_path(entry))
    for index, (name, own) in enumerate(trials.items()):
        values = [rate for rate in map(metric.value, own) if rate is not None]
        # Side by side in the order in which they ran, so that a drift shows.
        spread = 0.18 if len(values) > 1 else 0.0
        places = index + np.linspace(-spread, spread, len(values))
        axes.plot(
            places, values, MARKERS[index % len(MARKERS)], color=_colour(index), alpha=0.75, ms=6
        )
        if values:
            axes.hlines(np.median(values), index - 0.3, index + 0.3, color=_colour(index), lw=2.5)
    axes.set_xticks(range(len(trials)), [_label(result, entry, name) for name in trials])
    axes.set_xlim(-0.6, len(trials) - 0.4)
    axes.set_ylim(0, 1.08 * axes.get_ylim()[1])
    axes.grid(axis="x", visible=False)
    axes.set_ylabel("requests/s" if metric.path == THROUGHPUT else "requests/s without 429, 503")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def _throughput_path(entry: Json) -> str:
    """Where requests were rejected, those that were served are the throughput to look at."""
    return SERVED if any(metric.path == SERVED for metric in shown(entry)) else THROUGHPUT


def _label(result: Json, entry: Json, name: str) -> str:
    """A target's name and, unless it is the base, its ratio with the interval."""
    for pair in entry["comparisons"]:
        ratio = pair["ratios"][_throughput_path(entry)]
        if pair["target"] == name and ratio["ratio"] is not None:
            text = f"{name}\n× {ratio['ratio']:.3f}"
            if ratio["interval"] is not None:
                low, high = ratio["interval"]
                text += f"  [{low:.3f}, {high:.3f}]"
            return f"{text}\nn = {ratio['pairs']} pairs"
    return name


def _latency(axes: Axes, _result: Json, _entry: Json, trials: dict[str, list[Json]]) -> None:
    longest = 1
    for index, (name, own) in enumerate(trials.items()):
        histograms = list(_histograms(own))
        if not histograms:
            continue
        shortest = min(histogram.total for histogram in histograms)
        longest = max(longest, *(histogram.total for histogram in histograms))
        for histogram in histograms:
            shares = _shares(histogram.total)
            axes.plot(
                _odds(shares), histogram.quantiles(shares), color=_colour(index), lw=0.8, alpha=0.35
            )
        # The median of the trials at each percentile that all of them reach: no requests are pooled.
        shares = _shares(shortest)
        median = np.median([histogram.quantiles(shares) for histogram in histograms], axis=0)
        style = "-" if index % 2 == 0 else "--"
        axes.plot(_odds(shares), median, style, color=_colour(index), lw=2.4, label=name)
    if longest == 1:
        return _say_nothing_measured(axes, "no latency histogram")
    ticks = [share for share in PERCENTILE_TICKS if 1 / (1 - share) <= longest]
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(1, longest)
    axes.set_xticks(_odds(np.array(ticks)), [f"{100 * share:.6g}" for share in ticks])
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axes.minorticks_off()
    axes.set_xlabel("percentile")
    axes.set_ylabel("latency, µs")
    axes.legend(loc="lower right", frameon=False)
    return None


def _histograms(trials: list[Json]) -> Iterator[Histogram]:
    for trial in trials:
        text = trial["load"]["latency_histogram"]
        if text is not None:
            try:
                yield decode(text)
            except BadHistogram as error:
                where = f"{trial['target']}, block {trial['block']}, position {trial['position']}"
                raise UsageError(f"latency_histogram of the trial {where}: {error}") from error


def _shares(total: int) -> NDArray[np.float64]:
    """Percentiles (0..1) for a curve of `total` requests, evenly spaced in its logarithmic axis."""
    return 1 - np.logspace(0, -math.log10(max(total, 2)), 200)


def _odds(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where a percentile lies on the axis: one request of this many takes longer."""
    return 1 / (1 - shares)


def sweeps(result: Json) -> list[list[Json]]:
    """The summary entries of each scenario that differ in nothing but the rate, from the lowest."""
    groups: dict[str, list[Json]] = {}
    for entry in result["summary"]:
        rest = {k: v for k, v in entry["point"].items() if k not in ("rate", "rate_fraction")}
        if "rate" in entry["point"]:
            groups.setdefault(point_title(entry["scenario"], rest), []).append(entry)
    return [
        sorted(group, key=lambda entry: float(entry["point"]["rate"]))
        for group in groups.values()
        if len(group) > 1
    ]


def _latency_vs_rate(result: Json, found: list[list[Json]]) -> Figure:
    title = "Latency over the offered rate: medians of the trials, p99 with its range"
    figure, grid = _grid(result, title, len(found), 7.0)
    for axes, entries in zip(grid, found):
        rest = {k: v for k, v in entries[0]["point"].items() if k not in ("rate", "rate_fraction")}
        axes.set_title(point_title(entries[0]["scenario"], rest), pad=10)
        for index, target in enumerate(result["suite"]["targets"]):
            for path, style, filled in (("p50", ":", False), ("p99", "-", True)):
                known = [
                    (entry["point"]["rate"], metric)
                    for entry in entries
                    for metric in [_metric(entry, target["name"], f"load.latency_us.{path}")]
                    if metric["median"] is not None
                ]
                rates = [rate for rate, _ in known]
                axes.plot(
                    rates,
                    [metric["median"] for _, metric in known],
                    style + MARKERS[index % len(MARKERS)],
                    color=_colour(index),
                    markerfacecolor=_colour(index) if filled else "white",
                    label=f"{target['name']} {path}",
                )
                if filled:
                    low, high = ([metric[end] for _, metric in known] for end in ("min", "max"))
                    axes.vlines(rates, low, high, color=_colour(index), lw=1, alpha=0.6)
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
        axes.minorticks_off()
        axes.set_xlim(0, 1.06 * entries[-1]["point"]["rate"])
        axes.set_xticks([entry["point"]["rate"] for entry in entries], map(_rate_tick, entries))
        axes.set_xlabel("offered rate, requests/s, and as a share of the lowest saturation")
        axes.set_ylabel("latency, µs")
        axes.legend(loc="best", frameon=False)
    return figure


def _rate_tick(entry: Json) -> str:
    point = entry["point"]
    share = f"\n{100 * point['rate_fraction']:.4g} %" if "rate_fraction" in point else ""
    return f"{point['rate']:,.0f}{share}"


def _metric(entry: Json, target: str, path: str) -> Json:
    (metric,) = (it["metrics"][path] for it in entry["targets"] if it["target"] == target)
    found: Json = metric
    return found


def _counts_allocations(entry: Json) -> bool:
    return any(metric.path.startswith("server.allocations.") for metric in shown(entry))


def _allocations(axes: Axes, _result: Json, entry: Json, _trials: dict[str, list[Json]]) -> None:
    kinds = ("per_request", "per_connection")
    count = len(entry["targets"])
    width = 0.8 / count
    top = 0.0
    for index, target in enumerate(entry["targets"]):
        for place, kind in enumerate(kinds):
            metric = target["metrics"][f"server.allocations.{kind}"]
            x = place + (index - (count - 1) / 2) * width
            label = target["target"] if place == 0 else None
            height = metric["median"] or 0.0
            top = max(top, height)
            axes.bar(x, height, width * 0.92, color=_colour(index), label=label)
            text = "not\nmeasured" if metric["median"] is None else number(metric["median"])
            axes.annotate(text, (x, height), (0, 3), textcoords="offset points", ha="center")
    axes.set_xticks(range(len(kinds)), ["per request", "per connection"])
    axes.set_xlim(-0.6, len(kinds) - 0.4)
    axes.set_ylim(0, top * 1.45 or 1)  # room for the legend above the bars
    axes.grid(axis="x", visible=False)
    axes.set_ylabel("allocations")
    axes.legend(loc="upper left", frameon=False)


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]
