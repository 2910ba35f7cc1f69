"""CPU time per request: the server's in user code and in the kernel, with the generator's beside it."""
from collections.abc import Iterator

from matplotlib.axes import Axes
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

TOTAL = "server.cpu_us_per_request"
Segments = tuple[tuple[str, str, str], ...]  # path, colour and name of each, from 0 on
SERVER: Segments = (
    ("server.cpu_user_us_per_request", "#0072B2", "user code"),
    ("server.cpu_system_us_per_request", "#E69F00", "kernel"),
)
GENERATOR: Segments = (("load.generator.cpu_us_per_request", "#BBBBBB", "generator"),)
CAPTION = (
    "Bars and numbers: the medians of the valid trials (n = {n}). Circles: each trial's sum. Server and "
    "generator have an axis each. The interval of the ratio is in the tables."
)
POLLS = (
    " The generator polls: it uses all the time of its core, so its time per request is that of the "
    "core between two requests, not what a request takes."
)


def draw(result: Json) -> Iterator[Picture]:
    """A row for each scenario and point at which some target's CPU time is known: the server's, and
    the generator's beside it."""
    entries = [
        entry
        for entry in result["summary"]
        if any(target["metrics"][TOTAL]["median"] is not None for target in entry["targets"])
    ]
    if not entries:
        yield absent("cpu", result, TOTAL)
        return
    pacing = {leaf(trial, "load.generator.pacing") for trial in result["trials"]}
    caption = CAPTION.format(n=trial_counts(entries, TOTAL))
    caption += POLLS if "busy-poll" in pacing else ""
    size = (12.0, 1.7 + (1.2 + 0.45 * len(result["suite"]["targets"])) * len(entries))
    figure = framed(result, "CPU time per request", caption, size)
    axes_of = figure.subplots(len(entries), 2, squeeze=False)
    for entry, row in zip(entries, axes_of):
        trials = valid_trials(result, entry)
        for axes, who, segments in zip(row, ("server", "generator"), (SERVER, GENERATOR)):
            title = point_title(entry["scenario"], entry["point"])
            axes.set_title(f"{title}: {who}", pad=8)
            _panel(axes, entry["targets"], trials, segments)
        row[1].tick_params(labelleft=False)
    legend_beside(axes_of[0][1], [Patch(color=colour, label=name) for _, colour, name in SERVER])
    yield Picture("cpu", figure)


def _panel(
    axes: Axes, targets: list[Json], trials: dict[str, list[Json]], segments: Segments
) -> None:
    longest = 0.0
    for place, target in enumerate(targets):
        end = _bar(axes, place, target["metrics"], segments)
        sums = [
            sum(leaf(trial, path) for path, _, _ in segments)
            for trial in trials[target["target"]]
            if all(leaf(trial, path) is not None for path, _, _ in segments)
        ]
        axes.plot(sums, [place] * len(sums), "o", mfc="none", mec="black", ms=5)
        right = max([*sums, end or 0.0])
        longest = max(longest, right)
        text = "not measured" if end is None else number(end)
        axes.annotate(text, (right, place), (7, 0), textcoords="offset points", va="center")
    axes.set_xlim(0, 1.25 * longest or 1)  # room for the numbers
    axes.set_yticks(range(len(targets)), [target["target"] for target in targets])
    axes.set_ylim(len(targets) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.12g}"))
    axes.set_xlabel("CPU time, µs/request")


def _bar(axes: Axes, place: float, metrics: Json, segments: Segments) -> float | None:
    """Draws the medians one after the other and returns where they end; None where one is missing."""
    lengths = [metrics[path]["median"] for path, _, _ in segments]
    if None in lengths:
        return None
    left = 0.0
    for length, (_, colour, _) in zip(lengths, segments):
        axes.barh(place, length, 0.66, left=left, color=colour, edgecolor="white", linewidth=0.8)
        left += length
    return left
