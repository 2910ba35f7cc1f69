"""Latency: by percentile, and over the offered rate of a sweep."""
import math
from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator
from numpy.typing import NDArray

from spawnpool.documents import Json
from spawnpool.errors import UsageError
from spawnpool.histogram import BadHistogram, Histogram, decode
from spawnpool.load import point_title
from spawnpool.pictures.frame import (
    Picture,
    colour,
    grid,
    marker,
    panels,
    say_nothing_measured,
)

PERCENTILE_TICKS = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)
BY_PERCENTILE = (
    "Thin: each valid trial; bold: the median of the trials at each percentile. Requests of different "
    "trials are not pooled."
)
OVER_RATE = (
    "Points: the medians of the valid trials at a rate; upright: p99 of the least and the most."
)


def draw(result: Json) -> Iterator[Picture]:
    """By percentile with a panel for each scenario and point, and sweeps where there are any.

    UsageError when a trial's histogram is none."""
    yield Picture("latency", panels(result, "Latency by percentile", BY_PERCENTILE, _by_percentile))
    found = _sweeps(result)
    if found:
        yield Picture("latency-vs-rate", _over_rate(result, found))


def _by_percentile(axes: Axes, _result: Json, _entry: Json, trials: dict[str, list[Json]]) -> None:
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
                _odds(shares), histogram.quantiles(shares), color=colour(index), lw=0.8, alpha=0.35
            )
        # At each percentile that all of the trials reach.
        shares = _shares(shortest)
        median = np.median([histogram.quantiles(shares) for histogram in histograms], axis=0)
        style = "-" if index % 2 == 0 else "--"
        axes.plot(_odds(shares), median, style, color=colour(index), lw=2.4, label=name)
    if longest == 1:
        return say_nothing_measured(axes, "no latency histogram")
    ticks = [share for share in PERCENTILE_TICKS if 1 / (1 - share) <= longest]
    axes.set_xscale("log")
    axes.set_xlim(1, longest)
    axes.set_xticks(_odds(np.array(ticks)), [f"{100 * share:.6g}" for share in ticks])
    _latency_axis(axes)
    axes.set_xlabel("percentile")
    axes.legend(loc="lower right", frameon=False)
    return None


def _latency_axis(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axes.minorticks_off()
    axes.set_ylabel("latency, µs")


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


def _sweeps(result: Json) -> list[list[Json]]:
    """The summary entries of each scenario that differ in nothing but the rate, from the lowest."""
    groups: dict[str, list[Json]] = {}
    for entry in result["summary"]:
        if "rate" in entry["point"]:
            groups.setdefault(point_title(entry["scenario"], _rest(entry)), []).append(entry)
    return [
        sorted(group, key=lambda entry: float(entry["point"]["rate"]))
        for group in groups.values()
        if len(group) > 1
    ]


def _rest(entry: Json) -> Json:
    return {k: v for k, v in entry["point"].items() if k not in ("rate", "rate_fraction")}


def _over_rate(result: Json, found: list[list[Json]]) -> Figure:
    figure, axes_of = grid(result, "Latency over the offered rate", OVER_RATE, len(found), 7.0)
    for axes, entries in zip(axes_of, found):
        axes.set_title(point_title(entries[0]["scenario"], _rest(entries[0])), pad=10)
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
                    style + marker(index),
                    color=colour(index),
                    markerfacecolor=colour(index) if filled else "white",
                    label=f"{target['name']} {path}",
                )
                if filled:
                    low, high = ([metric[end] for _, metric in known] for end in ("min", "max"))
                    axes.vlines(rates, low, high, color=colour(index), lw=1, alpha=0.6)
        _latency_axis(axes)
        axes.set_xlim(0, 1.06 * entries[-1]["point"]["rate"])
        axes.set_xticks([entry["point"]["rate"] for entry in entries], map(_rate_tick, entries))
        axes.set_xlabel("offered rate, requests/s, and as a share of the lowest saturation")
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
