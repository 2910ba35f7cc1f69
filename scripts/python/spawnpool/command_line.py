"""The options of `spawnpool` and its commands."""
import argparse
from pathlib import Path
from typing import NoReturn

from spawnpool import paths
from spawnpool.durations import seconds
from spawnpool.errors import UsageError

EXPORT_FORMATS = (
    "google-benchmark",
    "custom-smaller-is-better",
    "custom-bigger-is-better",
    "bencher",
    "csv",
    "prometheus",
)


class _Parser(argparse.ArgumentParser):
    """argparse with errors of one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number of at least 1")
    return int(text)


def _seed(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number below 2^32")
    return int(text)


def _percents(text: str) -> list[int]:
    percents = [int(part) for part in text.split(",") if part.isascii() and part.isdigit()]
    if len(percents) < len(text.split(",")) or max(percents) > 100:
        raise argparse.ArgumentTypeError(f"'{text}' is no list of whole percents from 0 to 100")
    return percents


def _duration(text: str) -> float:
    try:
        return seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _names(text: str) -> list[str]:
    return text.split(",")


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    """What `run` and `duel` have in common."""
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="the result (default: results/SUITE-TIME.json)"
    )
    parser.add_argument(
        "--targets", type=_names, metavar="A,B", help="only these; the first is the base of ratios"
    )
    parser.add_argument("--blocks", type=_positive, metavar="N", help="two pairs of trials each")
    parser.add_argument(
        "--driver",
        choices=("builtin", "wrk"),
        help="what sends the requests, instead of the suite's: spawnpool-load, or wrk as a cross-check",
    )
    _add_settings(parser)
    parser.add_argument(
        "--budget",
        metavar="TIME",
        help="such as 10m: as many of the blocks as are expected to fit, fixed before the run",
    )
    parser.add_argument(
        "--until-resolved",
        type=_positive,
        metavar="MAX",
        help="look after each N blocks, MAX at the most, and end when every gated metric has a verdict; "
        "intervals are wider for it",
    )
    parser.add_argument("--seed", type=_seed, metavar="S", help="draws the order (default: drawn)")


def _add_settings(parser: argparse.ArgumentParser) -> None:
    """What `run`, `duel` and `selfcheck` have in common."""
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="any value of the suite, such as duration=2s, limits.error_share=0 or "
        """'targets.worker-pool.options=["--workers","8"]'; may be given again""",
    )


def _add_verdict_options(parser: argparse.ArgumentParser) -> None:
    """What `compare` and `duel` have in common."""
    parser.add_argument(
        "--strict", action="store_true", help="end with 3 where a gated metric is inconclusive"
    )
    parser.add_argument(
        "--format",
        choices=("table", "json", "markdown", "junit", "github"),
        default="table",
        help="of the output (default: table)",
    )


def command_line() -> argparse.ArgumentParser:
    """The parser. It gives a namespace with `command`, None where none is named, and the options of that one;
    UsageError for what is wrong."""
    parser = _Parser(
        prog="spawnpool",
        description="Compares HTTP serving models: a thread per connection against a worker pool.",
        epilog="Exit status: 0 done; 1 some trials failed, are invalid or did not fit into the budget, or a micro-benchmark "
        "failed; 2 a mistake in what was asked, with the mend, or a machine that is measured already; 128 + signal when interrupted.",
    )
    parser.add_argument("--version", action="version", version=f"spawnpool {paths.version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)

    run = commands.add_parser("run", help="run a suite and print its table")
    shipped = ", ".join(paths.known_suites())
    run.add_argument("suite", metavar="SUITE", help=f"a shipped suite ({shipped}) or a JSON file")
    _add_run_options(run)
    ways = run.add_mutually_exclusive_group()
    ways.add_argument("--resume", action="store_true", help="go on with the result --out names")
    ways.add_argument(
        "--dry-run",
        action="store_true",
        help="print the plan and its expected duration; start and write nothing",
    )

    compare = commands.add_parser(
        "compare",
        help="judge the targets of a result, or a result by runs of its base",
        description="Judges every target of RESULT against the first, or the one its suite says, in pairs of adjacent trials; or, with BASE, each against itself in those runs: sampled metrics need several, better 6 than 3.",
        epilog="Exit status: 0 no gated metric regressed; 1 one did; 2 a mistake in what was asked, or data that cannot be judged; 3 with --strict, a gated metric of which nothing can be told.",
    )
    compare.add_argument("result", type=Path, metavar="RESULT")
    compare.add_argument("bases", type=Path, nargs="*", metavar="BASE", help="runs of the base")
    compare.add_argument(
        "--targets", type=_names, metavar="A,B", help="only these; the first is the base"
    )
    _add_verdict_options(compare)
    compare.add_argument(
        "--out", type=Path, metavar="FILE", help="write it there, and print the table"
    )

    duel = commands.add_parser(
        "duel",
        help="run two git revisions in pairs and judge the second",
        description="Builds the servers of two revisions (kept in build/duel), runs them as pairs of targets NAME@base and "
        "NAME@head with the generator and the suite of this tree, and judges each head against its base. What "
        "`run` says goes to stderr.",
        epilog="Exit status: that of `compare`; 2 also when a revision does not build; 128 + signal when interrupted.",
    )
    duel.add_argument(
        "base", metavar="BASE_REF", help="a commit, branch or tag; . is the working tree"
    )
    duel.add_argument("head", metavar="HEAD_REF", help="the same, of what is to be judged")
    duel.add_argument(
        "--suite",
        default="ci",
        metavar="SUITE",
        help="a shipped suite or a JSON file (default: ci)",
    )
    _add_run_options(duel)
    _add_verdict_options(duel)

    selfcheck = commands.add_parser(
        "selfcheck",
        help="compare equal servers: false alarms, noise, and the least difference that is found here",
        description="Runs the suite again and again with its first target twice, each run a comparison, and "
        "writes what verdicts were seen to do: how often equal targets were told apart, how often the "
        "interval held the truth, the noise of pairs and of runs, and what a run would find.",
        epilog="Exit status: 0 done; 1 equal targets were told apart more often than the method states; "
        "2 a mistake in what was asked, or a machine that is measured already; 128 + signal when "
        "interrupted.",
    )
    selfcheck.add_argument(
        "suite",
        metavar="SUITE",
        nargs="?",
        default="calibration",
        help="as run has it (default: calibration)",
    )
    _add_settings(selfcheck)
    selfcheck.add_argument(
        "--comparisons", type=_positive, default=20, metavar="N", help="of each kind (default: 20)"
    )
    selfcheck.add_argument(
        "--budget",
        type=_duration,
        metavar="TIME",
        help="such as 4h: no comparison is begun that is not expected to fit",
    )
    selfcheck.add_argument(
        "--load", action="store_true", help="beside a process that disturbs the server's core"
    )
    selfcheck.add_argument(
        "--effect",
        dest="effects",
        type=_percents,
        metavar="PERCENT,...",
        help="with so much more work for the second target, such as 0,2,5,10,20: the power curve",
    )
    selfcheck.add_argument("--resume", action="store_true", help="go on with what is there")
    selfcheck.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="the calibration (default: results/calibration.json); its runs go to a folder beside it, named so without .json",
    )

    plot = commands.add_parser("plot", help="draw a result as SVG and PNG")
    plot.add_argument("result", type=Path, metavar="RESULT")
    plot.add_argument(
        "--out", type=Path, metavar="DIR", help="where to (default: plots/ and the result's name)"
    )

    report = commands.add_parser("report", help="write a result as one HTML page")
    report.add_argument("result", type=Path, metavar="RESULT")
    report.add_argument(
        "--out", type=Path, metavar="FILE", help="the page (default: plots/NAME/report.html)"
    )

    export = commands.add_parser("export", help="write a result in the format of another tool")
    export.add_argument("result", type=Path, metavar="RESULT")
    export.add_argument(
        "--format",
        required=True,
        choices=EXPORT_FORMATS,
        help="google-benchmark: its JSON, a row per trial and metric; custom-*: the lists of "
        "github-action-benchmark; bencher: Bencher Metric Format; csv: a row per trial and metric; "
        "prometheus: its text format",
    )
    export.add_argument("--out", type=Path, metavar="FILE", help="where to (default: stdout)")

    doctor = commands.add_parser(
        "doctor",
        help="what this machine can and cannot measure, and the mend",
        epilog="Exit status: 0 the suite quick can be measured; 1 something that it needs is missing.",
    )
    doctor.add_argument("--json", action="store_true", help="as results/doctor.schema.json has it")

    history = commands.add_parser("history", help="append results to a history, a line for each")
    history.add_argument("results", type=Path, metavar="RESULT", nargs="+")
    history.add_argument(
        "--out", type=Path, metavar="FILE", help="the history (default: results/history.jsonl)"
    )

    trend = commands.add_parser(
        "trend",
        help="tell what changed from run to run of a history",
        epilog="Exit status: 0 nothing changed for the worse; 1 the newest change of a series is one for "
        "the worse; 2 the file is no history.",
    )
    trend.add_argument(
        "history",
        type=Path,
        metavar="FILE",
        nargs="?",
        help="the history (default: results/history.jsonl)",
    )
    trend.add_argument(
        "--metric",
        type=_names,
        metavar="A,B",
        help="these, by their paths in a result (default: those that the suite gates)",
    )
    return parser
