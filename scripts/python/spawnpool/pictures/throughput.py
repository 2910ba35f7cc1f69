"""Throughput: each trial, and the median, by target."""
from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import StrMethodFormatter

from spawnpool.documents import Json
from spawnpool.metrics import METRICS, SERVED, THROUGHPUT, shown
from spawnpool.pictures.frame import Picture, colour, marker, panels

CAPTION = (
    "Points: the valid trials, from left to right as they ran; line: their median. ×: the ratio to the "
    "first target, the median of n pairs of adjacent trials; in brackets, from 6 pairs on, its "
    "sign-test interval of at least 95 %."
)


def draw(result: Json) -> Iterator[Picture]:
    """A panel for each scenario and point."""
    yield Picture("throughput", panels(result, "Throughput", CAPTION, _throughput))


def _throughput(axes: Axes, result: Json, entry: Json, trials: dict[str, list[Json]]) -> None:
    (metric,) = (m for m in METRICS if m.path == _path(entry))
    for index, own in enumerate(trials.values()):
        values = [rate for rate in map(metric.value, own) if rate is not None]
        # Side by side in the order in which they ran, so that a drift shows.
        spread = 0.18 if len(values) > 1 else 0.0
        places = index + np.linspace(-spread, spread, len(values))
        axes.plot(places, values, marker(index), color=colour(index), alpha=0.75, ms=6)
        if values:
            axes.hlines(np.median(values), index - 0.3, index + 0.3, color=colour(index), lw=2.5)
    axes.set_xticks(range(len(trials)), [_label(entry, name) for name in trials])
    axes.set_xlim(-0.6, len(trials) - 0.4)
    axes.set_ylim(0, 1.08 * axes.get_ylim()[1])
    axes.grid(axis="x", visible=False)
    axes.set_ylabel("requests/s" if metric.path == THROUGHPUT else "requests/s without 429, 503")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def _path(entry: Json) -> str:
    """Where requests were rejected, those that were served are the throughput to look at."""
    return SERVED if any(metric.path == SERVED for metric in shown(entry)) else THROUGHPUT


def _label(entry: Json, name: str) -> str:
    """A target's name and, unless it is the base, its ratio with the interval."""
    for pair in entry["comparisons"]:
        ratio = pair["ratios"][_path(entry)]
        if pair["target"] == name and ratio["ratio"] is not None:
            text = f"{name}\n× {ratio['ratio']:.3f}"
            if ratio["interval"] is not None:
                low, high = ratio["interval"]
                text += f"  [{low:.3f}, {high:.3f}]"
            return f"{text}\nn = {ratio['pairs']} pairs"
    return name
