"""A calibration as tables on a terminal."""
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from spawnpool.documents import Json
from spawnpool.load import point_title
from spawnpool.metrics import METRICS
from spawnpool.operating import EXCEEDED, exceeded
from spawnpool.table import NOT_KNOWN, ratio_words

RATES = ("metric", "margin", "slower, worse", "faster, better", "interval holds 1")
NOISE = ("metric", "scenario and point", "ratio", "σ pairs", "σ runs", "would find")


def print_calibration(document: Json, file: TextIO) -> None:
    """Two tables for each set and a line on its false alarms."""
    console = Console(file=file, width=120, highlight=False)
    for entry in document["sets"]:
        console.print(_table(title(entry), RATES, [_rates(it) for it in entry["metrics"]]))
        rows = [
            _noise(metric["metric"], place)
            for metric in entry["metrics"]
            for place in metric["places"]
        ]
        if rows:
            console.print(_table("", NOISE, rows))
        console.print(Text(conclusion(entry)), width=100)


def title(entry: Json) -> str:
    """What was compared, and how often."""
    effect = entry["effect_percent"]
    targets = "equal targets" if not effect else f"{effect} % put into the second target"
    load = ", beside a disturber" if entry["load"] else ""
    return f"{entry['suite']['name']}, {entry['pairs']} pairs, {targets}{load}"


def conclusion(entry: Json) -> str:
    """How many comparisons told targets apart, and whether so many may."""
    words = f"told apart: {_rate_words(entry['told_apart'])} comparisons"
    if entry["faulty"]:
        words += f"; {entry['faulty']} of them had faults in their data"
    if entry["stated"] is None:
        return words
    words += f"; stated: at most {100 * entry['stated']:g} %"
    told = "more than that" if exceeded(entry) else "in line with it"
    return f"{words}: {told} (p = {entry['p_value']:.2g}, more below {EXCEEDED:g})"


def _rates(metric: Json) -> tuple[str, ...]:
    rates = (metric[key] for key in ("regressed", "improved", "holds_one"))
    return (_label(metric["metric"]), f"{100 * metric['margin']:g} %", *map(_rate_words, rates))


def _noise(path: str, place: Json) -> tuple[str, ...]:
    shares = (place[key] for key in ("sigma_pairs", "sigma_runs", "least_effect"))
    where = point_title(place["scenario"], place["point"])
    return (_label(path), where, ratio_words(place["ratio"]), *map(_percent, shares))


def _label(path: str) -> str:
    return next(metric.label for metric in METRICS if metric.path == path)


def _rate_words(told: Json) -> str:
    if told["interval"] is None:
        return NOT_KNOWN
    low, high = (100 * end for end in told["interval"])
    return f"{told['k']} of {told['n']} ({low:.3g} to {high:.3g} %)"


def _percent(share: float | None) -> str:
    return NOT_KNOWN if share is None else f"{100 * share:.3g} %"


def _table(name: str, heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    table = Table(title=name or None, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for index, head in enumerate(heads):
        words = index == 0 or head == "scenario and point"
        table.add_column(head, justify="left" if words else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    return table
