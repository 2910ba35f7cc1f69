"""The command `trend`: what changed from run to run, by a history.

The newest run of each suite is looked at together with the earlier ones of the same machine (hostname
and CPU model) and of the same suite (its hash): one series for each metric, target, scenario and point.
The metrics are those the suite gates, or the ones asked for.

- Sampled metrics: E-divisive (changepoint.py) over the logarithms of the medians, or over the medians
  where one is not positive. Holm's method over all series of the suite keeps to ALPHA the share of
  histories without any change in which one is told.
- Counted ones need no test: the level changes with the first run that is further from it than the
  metric's tolerance.

A change smaller than the metric's margin is told and called that. How a series stands is told by its
newest change."""
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import numpy
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text
from scipy.special import stdtrit  # the quantiles of Student's t

from spawnpool.changepoint import SHORTEST_SERIES, best_split, change_points
from spawnpool.changepoint import permutations_needed, runs_needed
from spawnpool.documents import Json
from spawnpool.errors import UsageError, unknown
from spawnpool.history import read_history
from spawnpool.metrics import METRICS, Gate, Metric, gates
from spawnpool.statistics import Array, holm
from spawnpool.table import NOT_KNOWN, number
from spawnpool.verdicts import GATE_ALPHA

ALPHA = GATE_ALPHA
NEWEST = 100  # runs: the test takes time by their square, and what is older has been seen
EXIT_WORSE = 1
COLUMNS = ("series", "metric", "since", "before", "after", "ratio", "interval", "n", "change")


@dataclass(frozen=True)
class Change:
    """From the run `since` on, for `runs` runs. `before` and `after` are medians over the runs up to the changes next to
    it, `ratio` is after/before of geometric means and `interval` its Welch interval of 95 %: None where
    there are no logarithms, or no spread to take it from. `kind`: "better", "worse" or "within the margin".
    """

    since: Json
    runs: int
    before: float
    after: float
    ratio: float | None
    interval: tuple[float, float] | None
    kind: str


@dataclass(frozen=True, eq=False)
class Series:
    """One metric of a target at a scenario and point, over the runs that have it, oldest first."""

    name: str
    metric: Metric
    gate: Gate
    runs: list[Json]
    values: Array


@dataclass(eq=False)
class Finding:
    """What became of a series: its changes, oldest first, or why it was not tested."""

    series: Series
    changes: list[Change] = field(default_factory=list)
    untested: str | None = None


def trend(path: Path, metrics: Sequence[str] | None, file: TextIO) -> int:
    """Prints what changed. Returns 1 where the newest change of a series is one for the worse, else 0.
    UsageError when the file is no history, or a metric unknown."""
    asked = None if metrics is None else [_asked(name) for name in metrics]
    runs, repeated = _runs(read_history(path))
    if not runs:
        raise UsageError(f"{path} has no run: 'spawnpool history RESULT' adds one")
    status = 0
    for suite in dict.fromkeys(run["suite"]["name"] for run in runs):
        of_suite = [run for run in runs if run["suite"]["name"] == suite]
        newest = of_suite[-1]
        alike = [run for run in of_suite if _comparable(run) == _comparable(newest)][-NEWEST:]
        try:
            judged = gates(newest["suite"])
        except UsageError as error:
            raise UsageError(f"{path}: the run of {newest['date']}: {error}") from error
        findings = judge(list(_series(alike, asked, judged)))
        _print(alike, findings, file)
        for line in _left_out(of_suite, alike):
            print(line, file=file)
        if any(it.changes and it.changes[-1].kind == "worse" for it in findings):
            status = EXIT_WORSE
    if repeated:
        print(f"counted once: {_counted(repeated, 'line')} with a run that another has", file=file)
    return status


def _asked(name: str) -> Metric:
    found = {metric.path: metric for metric in METRICS}
    if name not in found:
        raise unknown("metric", name, found)
    if found[name].better is None:
        raise UsageError(f"metric '{name}' tells the load, nothing is better there: leave it out")
    return found[name]


def _runs(lines: list[Json]) -> tuple[list[Json], int]:
    """The runs by date, each once, and how many lines tell one again."""
    runs = {(line["machine"]["hostname"], line["date"], line["seed"]): line for line in lines}
    return sorted(runs.values(), key=lambda run: str(run["date"])), len(lines) - len(runs)


def _comparable(run: Json) -> tuple[str, str | None, str]:
    machine = run["machine"]
    return machine["hostname"], machine["cpu_model"], run["suite"]["sha256"]


def _left_out(of_suite: list[Json], alike: list[Json]) -> Iterator[str]:
    newest = of_suite[-1]
    machines = sum(run["machine"] != newest["machine"] for run in of_suite)
    suites = sum(
        run["machine"] == newest["machine"] and run["suite"]["sha256"] != newest["suite"]["sha256"]
        for run in of_suite
    )
    older = len(of_suite) - len(alike) - machines - suites
    for count, words in (
        (machines, "of another machine"),
        (suites, "of the suite with other targets, loads or options"),
        (older, f"before the newest {NEWEST}"),
    ):
        if count:
            yield f"{newest['suite']['name']}: left out: {_counted(count, 'run')} {words}"


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _series(
    runs: list[Json], asked: list[Metric] | None, judged: dict[str, Gate]
) -> Iterator[Series]:
    """What there is to judge, in the order of the newest run."""
    if asked is None:
        asked = [metric for metric in METRICS if judged[metric.path].kind != "shown"]

    def key(entry: Json) -> tuple[str, str, str]:
        return entry["target"], entry["scenario"], entry["point"]

    by_run = [{key(entry): entry["metrics"] for entry in run["series"]} for run in runs]
    for place in by_run[-1]:
        for metric in asked:
            told = [entries.get(place, {}).get(metric.path, {}).get("median") for entries in by_run]
            having = [run for run, value in zip(runs, told) if value is not None]
            if having:
                values = numpy.array([value for value in told if value is not None], dtype=float)
                yield Series("/".join(place), metric, judged[metric.path], having, values)


def judge(series: Sequence[Series]) -> list[Finding]:
    """What became of all series of a suite, in their order. Ask for them together: Holm's method is over
    those of one call."""
    findings = [Finding(it) for it in series]
    sampled = [it for it in findings if it.series.gate.kind != "exact" and _may_change(it.series)]
    needed = runs_needed(ALPHA / max(1, len(sampled)))
    tested = []
    for finding in findings:
        runs = len(finding.series.values)
        if finding.series.gate.kind == "exact":
            finding.changes = _changes(finding.series, _steps(finding.series))
        elif runs < needed:
            finding.untested = f"{runs} of the {needed} runs that a test needs"
        elif finding in sampled:
            tested.append(finding)
    if tested:
        permutations = permutations_needed(ALPHA / len(tested))
        scaled = [_scaled(it.series.values) for it in tested]
        splits = [best_split(values, permutations) for values in scaled]
        p = numpy.array([1.0 if split is None else split.p for split in splits])
        for finding, values, split, changed, level in zip(
            tested, scaled, splits, *holm(p, ALPHA), strict=True
        ):
            if changed and split is not None:
                found = change_points(values, split, float(level), permutations)
                finding.changes = _changes(finding.series, found)
    return findings


def _may_change(series: Series) -> bool:
    """Not where a long series has one value only: that is no test, and takes no level from others."""
    return len(series.values) < SHORTEST_SERIES or bool(numpy.ptp(series.values) > 0)


def _scaled(values: Array) -> Array:
    scaled: Array = numpy.log(values) if values.min() > 0 else values
    return scaled


def _steps(series: Series) -> list[int]:
    """Where a counted metric leaves the level it had."""
    found, level = [], series.values[0]
    for at, value in enumerate(series.values):
        if abs(value - level) > (series.gate.margin or 0.0) * abs(level):
            found.append(at)
            level = value
    return found


def _changes(series: Series, found: list[int]) -> list[Change]:
    bounds = [0, *found, len(series.values)]
    return [
        _change(series, series.values[begin:at], series.values[at:end], series.runs[at])
        for begin, at, end in zip(bounds, bounds[1:], bounds[2:])
    ]


def _change(series: Series, before: Array, after: Array, since: Json) -> Change:
    old, new = float(numpy.median(before)), float(numpy.median(after))
    ratio = interval = None
    margin = series.gate.margin or 0.0
    within = abs(new - old) <= margin * abs(old)
    up = new > old
    if min(before.min(), after.min()) > 0:
        difference, half = _welch(numpy.log(before), numpy.log(after))
        ratio, up = math.exp(difference), difference > 0
        if half is not None:
            interval = math.exp(difference - half), math.exp(difference + half)
        if series.gate.kind != "exact":
            within = abs(difference) <= math.log1p(margin)
    kind = "better" if up == (series.metric.better == "higher") else "worse"
    return Change(
        since, len(after), old, new, ratio, interval, "within the margin" if within else kind
    )


def _welch(before: Array, after: Array) -> tuple[float, float | None]:
    """The difference of the means, and half the width of its 95 % interval with unequal variances; None
    where a side has but one number, or none varies."""
    difference = float(after.mean() - before.mean())
    if min(len(before), len(after)) < 2:
        return difference, None
    a, b = before.var(ddof=1) / len(before), after.var(ddof=1) / len(after)
    if a + b == 0:
        return difference, None
    degrees = (a + b) ** 2 / (a**2 / (len(before) - 1) + b**2 / (len(after) - 1))
    return difference, float(stdtrit(degrees, 0.975) * math.sqrt(a + b))


def _print(runs: list[Json], findings: list[Finding], file: TextIO) -> None:
    """The table of a suite, in lines as long as they need to be, and what a reader has to know."""
    first, last = runs[0], runs[-1]
    machine = last["machine"]
    where = f"{machine['hostname']}, {machine['cpu_model'] or 'CPU model unknown'}"
    days = f"{first['date'][:10]} to {last['date'][:10]}"
    title = f"{last['suite']['name']}: {_counted(len(runs), 'run')}, {days}, on {where}"
    table = Table(title=Text(title), title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for header in COLUMNS:
        left = header in ("series", "metric", "since", "change")
        table.add_column(header, justify="left" if left else "right", no_wrap=True)
    for finding in findings:
        for cells in _rows(finding):
            table.add_row(*map(Text, cells))
    endless = Console(width=10_000)
    width = Measurement.get(endless, endless.options, table).maximum
    console = Console(file=file, width=max(width, len(title), 100), highlight=False)
    console.print(table)
    sampled = sum(it.series.gate.kind != "exact" for it in findings)
    words = (
        "Medians of runs; n: runs since the change. A change of a sampled metric: E-divisive; at most "
        f"{100 * ALPHA:g} % of histories without one show one, over all {sampled} series. Interval of the "
        "ratio: 95 %. Counted metrics change where they leave their tolerance."
    )
    console.print(Text(words), width=100)
    worse = sum(bool(it.changes) and it.changes[-1].kind == "worse" for it in findings)
    changed = sum(bool(it.changes) for it in findings)
    untested = sum(it.untested is not None for it in findings)
    unknown_yet = f", {untested} have too few runs" if untested else ""
    console.print(
        f"{changed} of {len(findings)} series changed, {worse} of them for the worse{unknown_yet}"
    )


def _rows(finding: Finding) -> Iterator[tuple[str, ...]]:
    series = finding.series
    head = (series.name, series.metric.title)
    if not finding.changes:
        level = number(float(numpy.median(series.values)))
        words = finding.untested or "no change"
        yield (*head, "", "", level, "", "", str(len(series.values)), words)
    for change in finding.changes:
        yield (
            *head,
            run_name(change.since),
            number(change.before),
            number(change.after),
            NOT_KNOWN if change.ratio is None else f"{change.ratio:.3f}",
            NOT_KNOWN
            if change.interval is None
            else f"{change.interval[0]:.3f} to {change.interval[1]:.3f}",
            str(change.runs),
            change.kind,
        )


def run_name(run: Json) -> str:
    """Revision and date of a run: "0123456789, 2026-01-02 03:04"; with "+" where it had changes."""
    revision = "unknown" if run["revision"] is None else run["revision"][:10]
    changes = "+" if run["dirty"] else ""
    return f"{revision}{changes}, {run['date'][:16].replace('T', ' ')}"
