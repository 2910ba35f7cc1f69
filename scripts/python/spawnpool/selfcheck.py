"""The command `selfcheck`: whether verdicts on this machine are right where the truth is known."""
import io
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from spawnpool.disturber import disturber
from spawnpool.documents import Json, read_json
from spawnpool.errors import UsageError
from spawnpool.estimate import expected_seconds, readable
from spawnpool.metrics import gates
from spawnpool.options import RunOptions
from spawnpool.operating import Condition, exceeded
from spawnpool.results import ResultSchema, read_result, write_result
from spawnpool.runner import run
from spawnpool.selfcheck_document import CALIBRATION, calibration
from spawnpool.selfcheck_table import print_calibration
from spawnpool.suite import load_suite, override

EXIT_EXCEEDED = 1
# What the handler burns in a comparison with an effect. What it takes to look at its clocks, a
# microsecond at most, is little beside a percent of it.
SERVICE_US = 1000
_CONDITION = re.compile(r"(idle|load)(?:-effect-([0-9]+))?")


@dataclass(frozen=True)
class SelfcheckOptions:
    """The command line of `selfcheck`. `effects` are percents, None for the suite as it is; the budget
    is in seconds."""

    suite: str = "calibration"
    settings: Sequence[str] = ()
    comparisons: int = 20
    budget: float | None = None
    load: bool = False
    effects: Sequence[int] | None = None
    resume: bool = False
    out: Path | None = None


def selfcheck(options: SelfcheckOptions) -> int:
    """Runs what is not yet there of the comparisons, each a result of `run` in the folder named as the
    calibration is; makes the calibration of all in it, and prints it. Returns the exit status: 0, 1
    where equal targets were told apart more often than the method states, 128 + the signal that ended
    it. UsageError for the user's mistakes, and when this machine is measured already."""
    out = options.out or CALIBRATION
    folder = out.with_suffix("")
    effects: Sequence[int | None] = [None] if options.effects is None else options.effects
    conditions = [Condition(options.load, effect) for effect in effects]
    status = _collect(folder, conditions, options)
    if status != 0:
        _say(
            f"interrupted: go on with the same command and --resume; {folder} has what was measured"
        )
        return status
    document = calibration(collected(folder))
    write_result(out, document)
    print_calibration(document, sys.stdout)
    print(f"calibration: {out}")
    return EXIT_EXCEEDED if any(map(exceeded, document["sets"])) else 0


def between_equals(suite: Json, effect: int | None) -> Json:
    """The suite with its first target twice, "first" and "second", and all of its blocks; with an effect
    its GETs ask for SERVICE_US of work, and of the second target for so many percent more: only what
    is sampled is gated then, since work is no count. UsageError without a GET."""
    target = {key: value for key, value in suite["targets"][0].items() if key != "optional"}
    asked: Json = {
        **{key: suite[key] for key in suite if key not in ("budget", "micro")},
        "targets": [{**target, "name": name} for name in ("first", "second")],
    }
    if effect is None:
        return asked
    scenarios = [it for it in suite["scenarios"] if it["request"]["method"] == "GET"]
    if not scenarios:
        raise UsageError(f"suite '{suite['name']}' has no GET to put an effect into: give another")
    paths_ = [f"/work?us={SERVICE_US + more}" for more in (0, SERVICE_US * effect // 100)]
    for named, path in zip(asked["targets"], paths_):
        named["path"] = path
    sampled = [
        {"path": path, "gate": how.kind, "margin": how.margin}
        for path, how in gates(suite).items()
        if how.kind == "noisy"
    ]
    return {
        **asked,
        "metrics": sampled,
        "scenarios": [
            {
                **scenario,
                "request": {"method": "GET", "path": paths_[0]},
                "expect": {"status": 200, "body": "done\n"},
            }
            for scenario in scenarios
        ],
        "accounting": None,
    }


def _collect(folder: Path, conditions: Sequence[Condition], options: SelfcheckOptions) -> int:
    """0, or 128 + the signal that ended it."""
    asked_for = RunOptions(options.suite, settings=options.settings)
    suite, schema = override(load_suite(options.suite), asked_for), ResultSchema()
    suites = {it: between_equals(suite, it.effect) for it in conditions}
    for condition, asked in suites.items():
        _begin(folder / condition.name / "suite.json", asked, options.resume)
    started = time.monotonic()
    # In turns, so that a machine that changes changes for all.
    for number in range(1, options.comparisons + 1):
        for condition, asked in suites.items():
            out = folder / condition.name / f"{number:03}.json"
            begun = out.exists()
            if begun and _ended(read_result(out, schema)):
                continue
            expected = expected_seconds(asked, 0)
            if options.budget is not None:
                left = options.budget - (time.monotonic() - started)
                if left < expected:
                    _say(f"the budget is spent before {out}: go on with --resume")
                    return 0
            _say(f"{out}: comparison {number} of {options.comparisons}, {readable(expected)}")
            path = out.with_name("suite.json")
            with _disturbed(condition, asked), redirect_stdout(io.StringIO()):
                status = run(RunOptions(str(path), out=out, resume=begun))
            if status >= 128:
                return status
    return 0


def collected(folder: Path) -> dict[Condition, list[tuple[Path, Json]]]:
    """The results in the folder of a calibration that have come to their end, by condition. UsageError
    when there is none."""
    schema = ResultSchema()
    found: dict[Condition, list[tuple[Path, Json]]] = {}
    for place in sorted(folder.iterdir()):
        named = _CONDITION.fullmatch(place.name)
        if named is None:
            continue
        effect = None if named[2] is None else int(named[2])
        read = [(path, read_result(path, schema)) for path in sorted(place.glob("[0-9]*.json"))]
        ended = [(path, result) for path, result in read if _ended(result)]
        if ended:
            found[Condition(named[1] == "load", effect)] = ended
    if not found:
        raise UsageError(f"{folder} has no comparison that came to its end: give more --budget")
    return dict(sorted(found.items(), key=lambda it: _order(it[0])))


def _order(condition: Condition) -> tuple[bool, int]:
    """Idle first; the suite as it is, then by the size of the effect."""
    return condition.load, -1 if condition.effect is None else condition.effect


def _ended(result: Json) -> bool:
    return bool(result["run"]["ended_by"] == "complete")


def _begin(path: Path, suite: Json, resume: bool) -> None:
    """Puts the suite of a condition where it is kept. UsageError when another is there, or the same and
    nobody said to go on."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(suite, indent=1), encoding="utf-8")
    elif not resume:
        raise UsageError(
            f"{path.parent} has comparisons already: go on with --resume, or choose another --out"
        )
    elif read_json(path) != suite:
        raise UsageError(f"{path.parent} is of another suite: begin anew with another --out")


def _disturbed(condition: Condition, suite: Json) -> AbstractContextManager[object]:
    """Beside a disturber on the server's core, for four times as long as expected at most, or not."""
    if not condition.load:
        return nullcontext()
    core = suite["cpus"]["server"][0] if "cpus" in suite else min(os.sched_getaffinity(0))
    return disturber(core, 4 * expected_seconds(suite, 0))


def _say(words: str) -> None:
    print(f"spawnpool: {words}", file=sys.stderr)
