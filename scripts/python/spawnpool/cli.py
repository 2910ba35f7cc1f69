"""The commands of `spawnpool`."""
import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

from spawnpool import paths
from spawnpool.command_line import command_line
from spawnpool.errors import UsageError, unknown
from spawnpool.options import RunOptions

EXIT_USAGE = 2


def _run_options(arguments: argparse.Namespace) -> RunOptions:
    """What `run` and `duel` have in common."""
    return RunOptions(
        suite=arguments.suite,
        out=arguments.out,
        settings=arguments.settings,
        targets=arguments.targets,
        blocks=arguments.blocks,
        driver=arguments.driver,
        budget=arguments.budget,
        until_resolved=arguments.until_resolved,
        seed=arguments.seed,
    )


def _run(arguments: argparse.Namespace) -> int:
    from spawnpool.runner import run

    options = _run_options(arguments)
    return run(replace(options, resume=arguments.resume, dry_run=arguments.dry_run))


def _duel(arguments: argparse.Namespace) -> int:
    from spawnpool.duel import DuelOptions, duel

    return duel(
        DuelOptions(
            base=arguments.base,
            head=arguments.head,
            run=_run_options(arguments),
            strict=arguments.strict,
            format=arguments.format,
        )
    )


def _compare(arguments: argparse.Namespace) -> int:
    from spawnpool.compare import CompareOptions, compare

    return compare(
        CompareOptions(
            result=arguments.result,
            bases=arguments.bases,
            targets=arguments.targets,
            strict=arguments.strict,
            format=arguments.format,
            out=arguments.out,
        )
    )


def _selfcheck(arguments: argparse.Namespace) -> int:
    from spawnpool.selfcheck import SelfcheckOptions, selfcheck

    return selfcheck(
        SelfcheckOptions(
            suite=arguments.suite,
            settings=arguments.settings,
            comparisons=arguments.comparisons,
            budget=arguments.budget,
            load=arguments.load,
            effects=arguments.effects,
            resume=arguments.resume,
            out=arguments.out,
        )
    )


def _plot(arguments: argparse.Namespace) -> int:
    from spawnpool.plots import plot

    for path in plot(arguments.result, arguments.out or paths.PLOTS / arguments.result.stem):
        print(path)
    return 0


def _report(arguments: argparse.Namespace) -> int:
    from spawnpool.report import report

    out = arguments.out or paths.PLOTS / arguments.result.stem / "report.html"
    report(arguments.result, out)
    print(out)
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from spawnpool.export import export

    export(arguments.result, arguments.format, arguments.out)
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    from spawnpool.doctor import doctor

    return doctor(arguments.json)


def _history(arguments: argparse.Namespace) -> int:
    from spawnpool.history import HISTORY, add_results

    out = arguments.out or HISTORY
    add_results(arguments.results, out)
    print(out)
    return 0


def _trend(arguments: argparse.Namespace) -> int:
    from spawnpool.history import HISTORY
    from spawnpool.trend import trend

    return trend(arguments.history or HISTORY, arguments.metric, sys.stdout)


# Each is imported when it is called: drawing and statistics take half a second to load.
_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "run": _run,
    "compare": _compare,
    "duel": _duel,
    "selfcheck": _selfcheck,
    "plot": _plot,
    "report": _report,
    "export": _export,
    "doctor": _doctor,
    "history": _history,
    "trend": _trend,
}


def main(argv: Sequence[str]) -> int:
    """Runs the command line and returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without µ still gets its table
    try:
        if argv and not argv[0].startswith("-") and argv[0] not in _COMMANDS:
            raise unknown("command", argv[0], _COMMANDS)
        arguments = command_line().parse_args(argv)
        if arguments.command is None:
            raise UsageError(f"name a command: {', '.join(_COMMANDS)} (see spawnpool --help)")
        status = _COMMANDS[arguments.command](arguments)
        sys.stdout.flush()
        return status
    except UsageError as error:
        print(f"spawnpool: {' '.join(str(error).split())}", file=sys.stderr)
        return EXIT_USAGE
    except BrokenPipeError:  # the reader of stdout went away, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13
    except OSError as error:  # a full disk, a directory that may not be written
        place = error.filename or "cannot write the output"
        words = f"{place}: {error.strerror}; make room, or give another place with --out"
        print(f"spawnpool: {words}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        return 128 + 2
