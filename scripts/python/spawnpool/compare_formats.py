"""A comparison for people, for programs and for what CI shows."""
import json
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from spawnpool.comparison import Comparison, Line
from spawnpool.documents import Json
from spawnpool.table import NOT_KNOWN, interval_words, number, ratio_words
from spawnpool.verdicts import GATE_ALPHA, Verdict

COMPARISON_SCHEMA_VERSION = 1
STYLES = {
    Verdict.REGRESSED: "bold red",
    Verdict.IMPROVED: "green",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.EQUIVALENT: "",
    None: "dim",
}
COLUMNS = ("metric", "ratio", "interval", "n", "verdict", "would find")


def groups(comparison: Comparison) -> Iterator[tuple[str, str, str, list[Line]]]:
    """The lines by place, base and target: what makes one table."""
    for (place, base, target), lines in groupby(
        comparison.lines, key=lambda line: (line.place, line.base, line.target)
    ):
        yield place, base, target, list(lines)


def conclusion(comparison: Comparison) -> str:
    """All verdicts in a line."""
    counts = comparison.verdicts()
    told = [f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict]]
    if not told:
        return "no metric is gated"
    return f"{sum(counts.values())} gated: {', '.join(told)}"


def explanations(comparison: Comparison) -> list[str]:
    """What a reader has to know, a line each."""
    lines = [
        "ratio: target / base, the median over n pairs of adjacent trials, with the sign test's interval "
        "of at least 95 %. A verdict has to be sure for all gated metrics together: of runs that compare "
        f"equal servers at most {GATE_ALPHA / 2:.0%} tell a regression. would find: the change for the "
        "worse that a run like this one finds in 4 of 5 cases. Exact metrics are counted and compared as "
        "they are; those without a verdict are not gated."
    ]
    reasons: dict[str, list[str]] = {}
    for line in comparison.lines:
        if line.judgement.verdict == Verdict.INCONCLUSIVE and line.judgement.reason:
            where = f"{line.metric.label} ({line.place}, {line.target})"
            reasons.setdefault(line.judgement.reason, []).append(where)
    for reason, metrics in reasons.items():
        more = f" and {len(metrics) - 1} more" if len(metrics) > 1 else ""
        lines.append(f"cannot tell {metrics[0]}{more}: {reason}")
    return lines + comparison.notes


def cells(line: Line) -> tuple[str, ...]:
    """The words of a line below COLUMNS, with the two values after the metric."""
    judged = line.judgement
    exact = line.gate.kind == "exact"
    least = judged.least_effect
    return (
        line.metric.title,
        number(line.base_value),
        number(line.target_value),
        NOT_KNOWN if judged.ratio is None else ratio_words(judged.ratio),
        "exact" if exact else interval_words(judged.interval),
        NOT_KNOWN if exact else str(judged.pairs),
        line.word,
        "" if least is None else f"{100 * least:.3g} %",
    )


def write_table(comparison: Comparison, strict: bool, file: TextIO) -> None:
    """Tables for a terminal, as wide as they have to be, and the conclusion."""
    tables = [_table(*group) for group in groups(comparison)]
    endless = Console(width=10_000)
    widths = [Measurement.get(endless, endless.options, table).maximum for table in tables]
    console = Console(file=file, width=max([*widths, 100]), highlight=False)
    for table in tables:
        console.print(table)
    for note in [*explanations(comparison), conclusion(comparison)]:
        console.print(Text(note), width=100)


def _table(place: str, base: str, target: str, lines: list[Line]) -> Table:
    table = Table(title=place, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for header in (COLUMNS[0], base, target, *COLUMNS[1:]):
        justify = "left" if header in ("metric", "verdict") else "right"
        table.add_column(header, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for line in lines:
        words = [Text(cell) for cell in cells(line)]
        words[-2].stylize(STYLES[line.judgement.verdict])
        table.add_row(*words)
    return table


def document(comparison: Comparison, strict: bool) -> Json:
    """The comparison as results/comparison.schema.json defines it."""
    return {
        "schema_version": COMPARISON_SCHEMA_VERSION,
        "result": str(comparison.result),
        "strict": strict,
        "status": comparison.status(strict),
        "alpha": GATE_ALPHA,
        "lines": [_line(line) for line in comparison.lines],
        "notes": comparison.notes,
        "faults": comparison.faults,
    }


def _line(line: Line) -> Json:
    judged = line.judgement
    return {
        "scenario": line.scenario,
        "point": line.point,
        "base": line.base,
        "target": line.target,
        "metric": line.metric.path,
        "unit": line.metric.unit,
        "better": line.metric.better,
        "gate": line.gate.kind,
        "margin": line.gate.margin,
        "base_median": line.base_value,
        "target_median": line.target_value,
        "pairs": judged.pairs,
        "ratio": judged.ratio,
        "interval": judged.interval,
        "coverage": judged.coverage,
        "gate_interval": judged.gate_interval,
        "gate_coverage": judged.gate_coverage,
        "least_effect": judged.least_effect,
        "verdict": None if judged.verdict is None else judged.verdict.value,
        "word": line.word or None,
        "reason": judged.reason,
    }


def write_json(comparison: Comparison, strict: bool, file: TextIO) -> None:
    """The document() as text."""
    json.dump(document(comparison, strict), file, indent=1, ensure_ascii=False, allow_nan=False)
    file.write("\n")


FORMATS: dict[str, Callable[[Comparison, bool, TextIO], None]] = {
    "table": write_table,
    "json": write_json,
}
