"""The comparison of two targets as rows of words, and as tables on a terminal."""
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import Any, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from spawnpool.calibration import saturations
from spawnpool.documents import Json
from spawnpool.load import point_title
from spawnpool.metrics import METRICS, shown
from spawnpool.micro import micro_medians
from spawnpool.statistics import MINIMUM_PAIRS

NOT_KNOWN = "–"
# Below this share of a core, both of server and generator waited for something else.
BUSY = 0.8


@dataclass(frozen=True)
class Row:
    """One metric of a comparison, ready to show."""

    metric: str
    base: str
    other: str
    ratio: str
    interval: str
    pairs: str


VARIES = "(!) a counted metric that varies between trials of one target: do not trust it"
NO_ROW = Row("no valid trial", NOT_KNOWN, NOT_KNOWN, NOT_KNOWN, NOT_KNOWN, "0")


@dataclass(frozen=True)
class Comparison:
    """All metrics of two targets at one scenario and point; `other` is "" where there is but one."""

    title: str
    base: str
    other: str
    rows: list[Row]


def number(value: float | None) -> str:
    """A value in at least three significant digits, thousands separated; NOT_KNOWN for None."""
    if value is None:
        return NOT_KNOWN
    if value == int(value):
        return f"{value:,.0f}"
    for least, digits in ((1000, 0), (100, 1), (10, 2), (1, 3)):
        if abs(value) >= least:
            return f"{value:,.{digits}f}"
    return f"{value:.3g}"


def comparisons(summary: list[Json], detail: bool = False) -> Iterator[Comparison]:
    """What a summary has to show, in its order: the main metrics, or the details."""
    for entry in summary:
        title = point_title(entry["scenario"], entry["point"])
        targets = {target["target"]: target["metrics"] for target in entry["targets"]}
        if not entry["comparisons"]:
            ((name, metrics),) = targets.items()
            rows = [
                Row(m.label, _median(metrics[m.path]), "", "", "", "") for m in shown(entry, detail)
            ]
            yield Comparison(title, name, "", rows or [NO_ROW])
        for pair in entry["comparisons"]:
            base, other = targets[pair["base"]], targets[pair["target"]]
            rows = []
            for metric in shown(entry, detail):
                ratio = pair["ratios"][metric.path]
                rows.append(
                    Row(
                        metric.title,
                        _median(base[metric.path]),
                        _median(other[metric.path]),
                        ratio_words(ratio["ratio"]),
                        _interval(ratio, base[metric.path]["exact"]),
                        str(ratio["pairs"]),
                    )
                )
            yield Comparison(title, pair["base"], pair["target"], rows or [NO_ROW])


@dataclass(frozen=True)
class MicroRow:
    """One micro-benchmark, ready to show."""

    benchmark: str
    real_time: str
    spread: str
    cpu_time: str
    allocations: str
    repetitions: str


MICRO_COLUMNS = (
    "micro-benchmark",
    "real time, ns",
    "min to max",
    "CPU time, ns",
    "allocations",
    "n",
)


def micro_rows(micro: list[Json]) -> list[MicroRow]:
    """The cells under MICRO_COLUMNS, a row for each benchmark."""
    return [
        MicroRow(
            medians.name,
            number(medians.real_time),
            f"{number(min(medians.real_times))} to {number(max(medians.real_times))}"
            if medians.real_times
            else NOT_KNOWN,
            number(medians.cpu_time),
            number(medians.allocations),
            str(len(medians.real_times)),
        )
        for medians in micro_medians(micro)
    ]


def _median(metric: Json) -> str:
    if metric["varies"]:
        return f"{number(metric['min'])} to {number(metric['max'])} (!)"
    return number(metric["median"])


def ratio_words(value: float | None) -> str:
    """A ratio in three digits at least; NOT_KNOWN for None."""
    if value is None:
        return NOT_KNOWN
    return f"{value:.3f}" if 0.1 <= value < 100 else f"{value:.3g}"


def _interval(ratio: Json, exact: bool) -> str:
    if exact and ratio["ratio"] is not None:
        return "exact"
    return interval_words(ratio["interval"])


def interval_words(interval: Sequence[float] | None) -> str:
    """The interval of a ratio; NOT_KNOWN for None."""
    if interval is None:
        return NOT_KNOWN
    low, high = interval
    return f"{ratio_words(low)} to {ratio_words(high)}"


def notes(result: Json) -> list[str]:
    """What a reader of the tables has to know beside what is missing, a line each."""
    lines = [
        "Medians of the valid trials; ↑ more is better, ↓ less is better. The ratio is the second "
        "target / the first: the median of n pairs of adjacent trials, with its sign-test interval "
        f"of at least 95 % (from n = {MINIMUM_PAIRS} on)."
    ]
    lines += [known.describe() for known in saturations(result["suite"], result["calibration"])]
    lines += variation(comparisons(result["summary"]))
    return lines + list(_idle_cores(result)) + list(_unsteady(result)) + _of_micro(result["micro"])


def variation(shown_in: Iterable[Comparison]) -> list[str]:
    """A line on the mark of counts that vary, where there is one."""
    marked = any("(!)" in row.base + row.other for it in shown_in for row in it.rows)
    return [VARIES] if marked else []


def _of_micro(micro: list[Json]) -> list[str]:
    if not micro:
        return []
    lines = [
        "Micro-benchmarks: medians of n repetitions, per iteration. The real time of hand_off is that "
        "of the hand-off alone, the CPU time of connection_life that of client and server together, "
        "else of the thread that measures. Allocations are counted in runs of their own."
    ]
    told = [entry for entry in micro if not entry["error_occurred"]]
    reasons = {e["unmeasured"]["allocs_per_iter"] for e in told if e["allocs_per_iter"] is None}
    return lines + [f"allocations are not known: {reason}" for reason in sorted(reasons)]


def _unsteady(result: Json) -> Iterator[str]:
    """Where a trend or a step shows that a window did not measure one state."""
    for entry in result["summary"]:
        told = [
            trial["load"]["steady_state"]["steady"]
            for trial in _trials(result, entry)
            if trial["load"]["steady_state"] is not None
        ]
        if told.count(False) > 0:
            yield (
                f"{point_title(entry['scenario'], entry['point'])}: {told.count(False)} of "
                f"{len(told)} trials were not steady: throughput or latency had a trend or a step"
            )


def _trials(result: Json, entry: Json) -> list[Json]:
    """The valid trials at a scenario and point."""
    place = (entry["scenario"], entry["point"], "valid")
    return [t for t in result["trials"] if (t["scenario"], t["point"], t["status"]) == place]


def _server_busy(trial: Json) -> float | None:
    """The share of its cores' time: its own, and what the kernel does for it besides."""
    idle: float | None = trial["machine"]["server_idle_share"]
    return None if idle is None else 1 - idle


def _generator_busy(trial: Json) -> float | None:
    """The share of its time; wrk, which sleeps when it has nothing to do, tells its CPU time only."""
    generator = trial["load"]["generator"]
    busy: float | None = generator["busy_share"]
    used: float | None = generator["cpu_utilization"]
    return used if busy is None else busy


def _idle_cores(result: Json) -> Iterator[str]:
    """Where nobody was busy, throughput says nothing of the server's peak. An open loop asks for no
    peak."""
    for entry in result["summary"]:
        for target in entry["targets"]:
            used = [
                (_server_busy(trial), _generator_busy(trial))
                for trial in _trials(result, entry)
                if trial["target"] == target["target"] and trial["load"]["offered_rps"] is None
            ]
            known = [pair for pair in used if None not in pair]
            if not known:
                continue
            server, generator = (statistics.median(side) for side in zip(*known))
            if max(server, generator) < BUSY:
                yield (
                    f"{point_title(entry['scenario'], entry['point'])}: the core of "
                    f"{target['target']} was busy {server:.0%} of the time, the generator's "
                    f"{generator:.0%}: this is no peak throughput (other work on the machine?)"
                )


def missing(summary: list[Json]) -> dict[str, list[str]]:
    """By reason, the metrics that no trial of some target has. Of details, and of what no trial at
    all has at its scenario and point and that is of other loads, nothing is said."""
    reasons: dict[str, list[str]] = {}
    for entry in summary:
        rows = shown(entry)
        for metric in METRICS:
            if metric.detail or (metric.situational and metric not in rows):
                continue
            for target in entry["targets"]:
                told = target["metrics"][metric.path]
                if told["median"] is None and target["trials"]["valid"] > 0:
                    paths = reasons.setdefault(told["reason"], [])
                    if metric.path not in paths:
                        paths.append(metric.path)
    return reasons


def failures(trials: list[Json], what: str = "") -> list[str]:
    """One line per trial that is not valid: its reasons and the last its target said on stderr."""
    lines = []
    for trial in trials:
        if trial["status"] != "valid":
            where = point_title(trial["scenario"], trial["point"])
            why = "; ".join(f"{r['code']}: {r['message']}" for r in trial["reasons"])
            said = f"; stderr: {trial['target_stderr'][-1]}" if trial["target_stderr"] else ""
            place = f"block {trial['block']}, position {trial['position']}"
            line = f"{trial['status']}: {what}{trial['target']}, {where} ({place}): {why}{said}"
            lines.append(" ".join(line.split()))
    return lines


def print_tables(result: Json, file: TextIO) -> None:
    """Prints the summary, in lines of at most 100 columns or, rather than cut a number, longer."""
    tables = [_table(comparison) for comparison in comparisons(result["summary"])]
    if result["micro"]:
        tables.append(_micro_table(result["micro"]))
    endless = Console(width=10_000)
    width = max(Measurement.get(endless, endless.options, table).maximum for table in tables)
    console = Console(file=file, width=max(width, 100), highlight=False)
    for table in tables:
        console.print(table)
    unknown = missing(result["summary"])
    for reason in sorted(unknown):
        console.print(Text(f"not known: {', '.join(unknown[reason])}: {reason}"), width=100)
    for line in notes(result):
        console.print(Text(line), width=100)


def _micro_table(micro: list[Json]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for header in MICRO_COLUMNS:
        table.add_column(
            header, justify="left" if header == MICRO_COLUMNS[0] else "right", no_wrap=True
        )
    for row in micro_rows(micro):
        table.add_row(*astuple(row))
    return table


def _table(comparison: Comparison) -> Table:
    table = Table(title=comparison.title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    paired: list[tuple[str, Any]] = [("metric", "left"), (comparison.base, "right")]
    if comparison.other:
        paired += [
            (comparison.other, "right"),
            ("ratio", "right"),
            ("interval", "right"),
            ("n", "right"),
        ]
    for header, justify in paired:
        table.add_column(header, justify=justify, no_wrap=True)
    for row in comparison.rows:
        cells = (row.metric, row.base, row.other, row.ratio, row.interval, row.pairs)
        table.add_row(*cells[: len(paired)])
    return table
