"""A comparison for people, for programs and for what CI shows."""
import json
import re
from collections.abc import Callable
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from spawnpool.comparison import Comparison, Line
from spawnpool.documents import Json
from spawnpool.compare_ci import write_github, write_junit
from spawnpool.compare_words import CROSS_CHECKED, Group, cells, conclusion, cross_check_cells
from spawnpool.compare_words import CROSS_CHECK_COLUMNS, explanations, groups, header
from spawnpool.verdicts import GATE_ALPHA, Verdict

# 1 had nothing of other methods.
COMPARISON_SCHEMA_VERSION = 2
STYLES = {
    Verdict.REGRESSED: "bold red",
    Verdict.IMPROVED: "green",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.EQUIVALENT: "",
    None: "dim",
}


def write_table(comparison: Comparison, strict: bool, file: TextIO) -> None:
    """Tables for a terminal, as wide as they have to be, and the conclusion."""
    tables = [_table(group) for group in groups(comparison)]
    endless = Console(width=10_000)
    widths = [Measurement.get(endless, endless.options, table).maximum for table in tables]
    console = Console(file=file, width=max([*widths, 100]), highlight=False)
    for table in tables:
        console.print(table)
    for note in [*explanations(comparison), conclusion(comparison)]:
        console.print(Text(note), width=100)


def _table(group: Group) -> Table:
    table = Table(title=group.title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for name in header(group):
        left = name in ("metric", "verdict")
        table.add_column(name, justify="left" if left else "right", no_wrap=True)
    for line in group.lines:
        words = [Text(cell) for cell in cells(line)]
        words[-2].stylize(STYLES[line.judgement.verdict])
        table.add_row(*words)
    return table


def document(comparison: Comparison, strict: bool) -> Json:
    """The comparison as results/comparison.schema.json defines it."""
    return {
        "schema_version": COMPARISON_SCHEMA_VERSION,
        "result": str(comparison.result),
        "bases": [str(base) for base in comparison.bases],
        "strict": strict,
        "status": comparison.status(strict),
        "alpha": GATE_ALPHA,
        "lines": [_line(line) for line in comparison.lines],
        "notes": comparison.notes,
        "faults": comparison.faults,
    }


def _line(line: Line) -> Json:
    judged, checked = line.judgement, line.cross_check()
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
        "n": judged.n,
        "ratio": judged.ratio,
        "interval": judged.interval,
        "coverage": judged.coverage,
        "bootstrap_interval": None if checked is None else checked.bootstrap_interval,
        "wilcoxon_p": None if checked is None else checked.wilcoxon_p,
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


def write_markdown(comparison: Comparison, strict: bool, file: TextIO) -> None:
    """A page for the summary of a job."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # other formats do without

    environment = Environment(
        loader=PackageLoader("spawnpool", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: _MARKDOWN.sub(r"\\\1", str(value)),  # of every {{ expression }}
    )
    page = environment.get_template("compare.md.j2").render(
        conclusion=conclusion(comparison),
        faults=comparison.faults,
        groups=groups(comparison),
        header=lambda group: (*header(group), *CROSS_CHECK_COLUMNS),
        cells=lambda line: (*cells(line), *cross_check_cells(line)),
        notes=[*explanations(comparison), CROSS_CHECKED],
    )
    file.write(page)


# What Markdown, or the HTML in it, takes for something else than text.
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#&~])")

FORMATS: dict[str, Callable[[Comparison, bool, TextIO], None]] = {
    "table": write_table,
    "json": write_json,
    "markdown": write_markdown,
    "junit": write_junit,
    "github": write_github,
}
