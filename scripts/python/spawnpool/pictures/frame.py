"""What the pictures have in common: style, colours, panels, title and caption."""
import math
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from spawnpool.documents import Json
from spawnpool.load import point_title

# Okabe and Ito's palette, told apart with every kind of colour vision; the second sign is a marker.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
MARKERS = ("o", "s", "^", "D", "v", "P")

STYLE = {
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

COLUMNS = 3  # of panels, at most
CAPTION_CHARACTERS_PER_INCH = 14  # in the caption's size


@dataclass(frozen=True)
class Picture:
    """A picture by its name, which is that of its files; or, where a result has not the numbers for
    it, no `figure` and why."""

    name: str
    figure: Figure | None
    reason: str = ""


def absent(name: str, result: Json, path: str) -> Picture:
    """The picture that is not drawn because no target has the metric of this path."""
    targets = [target for entry in result["summary"] for target in entry["targets"]]
    reasons = sorted({target["metrics"][path]["reason"] for target in targets})
    return Picture(name, None, "; ".join(reasons))


Panel = Callable[[Axes, Json, Json, dict[str, list[Json]]], None]


def panels(result: Json, title: str, caption: str, draw: Panel) -> Figure:
    """One panel per scenario and point, drawn from its summary entry and valid trials by target."""
    entries = result["summary"]
    width = max(4.2, 2.1 * len(result["suite"]["targets"]))  # room for the names below the axis
    figure, axes_of = grid(result, title, caption, len(entries), width)
    for axes, entry in zip(axes_of, entries):
        trials = valid_trials(result, entry)
        axes.set_title(point_title(entry["scenario"], entry["point"]), pad=10)
        if any(trials.values()):
            draw(axes, result, entry, trials)
        else:
            say_nothing_measured(axes)
    return figure


def valid_trials(result: Json, entry: Json) -> dict[str, list[Json]]:
    """The valid trials at the scenario and point of a summary entry, by target."""
    place = (entry["scenario"], entry["point"], "valid")
    here = [t for t in result["trials"] if (t["scenario"], t["point"], t["status"]) == place]
    names = [target["target"] for target in entry["targets"]]
    return {name: [trial for trial in here if trial["target"] == name] for name in names}


def trial_counts(entries: list[Json], path: str) -> str:
    """How many valid trials the targets have this metric of: "6", "1 to 6"."""
    counts = (t["metrics"][path]["trials"] for entry in entries for t in entry["targets"])
    return span([count for count in counts if count > 0])


def span(counts: Iterable[int]) -> str:
    """The least and the most in words."""
    ordered = sorted(set(counts))
    return " to ".join(str(count) for count in dict.fromkeys((ordered[0], ordered[-1])))


def grid(
    result: Json, title: str, caption: str, count: int, width: float, height: float = 3.9
) -> tuple[Figure, list[Axes]]:
    """A figure with its title, its caption and `count` panels, at most COLUMNS side by side, each of
    these inches."""
    columns = min(count, COLUMNS)
    rows = math.ceil(count / columns)
    figure = framed(result, title, caption, (1.2 + width * columns, 1.6 + height * rows))
    axes_of = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in axes_of[count:]:
        axes.set_visible(False)
    return figure, axes_of[:count]


def framed(result: Json, title: str, caption: str, size: tuple[float, float]) -> Figure:
    """An empty figure of this many inches with its title above and its caption below."""
    figure = Figure(figsize=size, layout="constrained")
    date = str(result["context"]["date"])[:10]
    figure.suptitle(f"{title}\nsuite {result['suite']['name']}, {date}", fontsize=13)
    lines = textwrap.wrap(caption, int(CAPTION_CHARACTERS_PER_INCH * size[0]))
    figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=9)
    return figure


def say_nothing_measured(axes: Axes, why: str = "no valid trial") -> None:
    """Leaves a panel empty but for the reason."""
    axes.text(0.5, 0.5, why, ha="center", va="center", transform=axes.transAxes)
    axes.set_xticks([])
    axes.set_yticks([])


def legend_beside(axes: Axes, handles: list[Patch]) -> None:
    """A legend to the right of a panel."""
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)


def colour(index: int) -> str:
    """Of the target at this index in the suite."""
    return COLOURS[index % len(COLOURS)]


def marker(index: int) -> str:
    """Of the target at this index in the suite."""
    return MARKERS[index % len(MARKERS)]
