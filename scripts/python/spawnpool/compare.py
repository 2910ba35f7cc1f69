"""The command `compare`."""
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spawnpool.between import Run, between
from spawnpool.compare_formats import FORMATS
from spawnpool.comparison import within
from spawnpool.results import ResultSchema, read_result, read_trials
from spawnpool.selfcheck_document import CALIBRATION, citation


@dataclass(frozen=True)
class CompareOptions:
    """The command line of `compare`; None where an option is not given."""

    result: Path
    bases: Sequence[Path] = ()
    targets: Sequence[str] | None = None
    strict: bool = False
    format: str = "table"
    out: Path | None = None


def compare(options: CompareOptions) -> int:
    """Prints the comparison, or the table where it goes to a file; each fault is a line on stderr.
    Returns the exit status. UsageError when a file is no result, or what was asked cannot be."""
    schema = ResultSchema()
    if options.bases:
        run, *bases = (
            Run(path, read_result(path, schema)) for path in [options.result, *options.bases]
        )
        result = run.result
        comparison = between(run, bases, options.targets)
    else:
        result = read_trials(options.result, schema)
        comparison = within(options.result, result, options.targets)
    notes = [*comparison.notes, *citation(CALIBRATION, result["context"])]
    comparison = replace(comparison, notes=notes)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        with options.out.open("w", encoding="utf-8") as file:
            FORMATS[options.format](comparison, options.strict, file)
    shown = "table" if options.out is not None else options.format
    FORMATS[shown](comparison, options.strict, sys.stdout)
    for fault in comparison.faults:
        print(f"spawnpool: {fault}", file=sys.stderr)
    return comparison.status(options.strict)
