"""Micro-benchmarks: the real time of each, with every repetition, by family."""
from collections.abc import Iterator

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from spawnpool.documents import Json
from spawnpool.micro import MicroMedians, micro_medians
from spawnpool.pictures.frame import Picture, framed, span
from spawnpool.table import number

CAPTION = (
    "Bars and numbers: the medians of the repetitions without an error (n = {n}); circles: each repetition, a process "
    "of its own; no interval. Each axis is its family's own. The real time of hand_off is that of the "
    "hand-off alone."
)
INCHES_PER_BAR = 0.4


def draw(result: Json) -> Iterator[Picture]:
    """One panel for each family, where the suite asks for micro-benchmarks."""
    if result["micro"]:
        families: dict[str, list[MicroMedians]] = {}
        for times in micro_medians(result["micro"]):
            families.setdefault(times.name.split("/")[0], []).append(times)
        yield Picture("micro", _figure(result, families))
    elif "micro" in result["suite"]:
        yield Picture("micro", None, "the run ended before its micro-benchmarks")


def _figure(result: Json, families: dict[str, list[MicroMedians]]) -> Figure:
    bars = [len(family) for family in families.values()]
    n = span(len(times.real_times) for family in families.values() for times in family)
    size = (9.0, 1.6 + INCHES_PER_BAR * sum(bars) + 0.95 * len(bars))
    figure = framed(result, "Micro-benchmarks: real time", CAPTION.format(n=n), size)
    axes_of = figure.subplots(
        len(bars), 1, squeeze=False, gridspec_kw={"height_ratios": [0.6 + count for count in bars]}
    )
    for axes, (family, benchmarks) in zip(axes_of.flat, families.items()):
        axes.set_title(family, pad=6, loc="left")
        _panel(axes, family, benchmarks)
    return figure


def _panel(axes: Axes, family: str, benchmarks: list[MicroMedians]) -> None:
    longest = max((max(times.real_times, default=0.0) for times in benchmarks), default=0.0)
    for place, times in enumerate(benchmarks):
        if times.real_time is None:
            axes.annotate("failed", (0, place), (5, 0), textcoords="offset points", va="center")
            continue
        axes.barh(place, times.real_time, 0.66, color="#56B4E9")
        drawn = [place] * len(times.real_times)
        axes.plot(times.real_times, drawn, "o", mfc="none", mec="black", ms=4.5, clip_on=False)
        right = max(times.real_times)
        text = number(times.real_time)
        axes.annotate(text, (right, place), (8, 0), textcoords="offset points", va="center")
    names = [times.name.removeprefix(f"{family}/") for times in benchmarks]
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1.15 * longest or 1)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.12g}"))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("ns per iteration")
