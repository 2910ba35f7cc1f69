"""The command `duel`: the servers of two revisions in pairs, and the verdicts on the second."""
import json
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass, replace

from spawnpool import paths
from spawnpool.begin import default_out
from spawnpool.child import Interruption
from spawnpool.compare import CompareOptions, compare
from spawnpool.documents import Json
from spawnpool.errors import UsageError
from spawnpool.lock import machine_lock
from spawnpool.options import RunOptions
from spawnpool.preflight import check_driver
from spawnpool.revisions import Built, build, cache, forget_old, resolve
from spawnpool.runner import run
from spawnpool.suite import load_suite, override


@dataclass(frozen=True)
class DuelOptions:
    """The command line of `duel`; `run` has what it shares with the command of that name."""

    base: str
    head: str
    run: RunOptions
    strict: bool = False
    format: str = "table"


def duel(options: DuelOptions) -> int:
    """Builds both revisions, runs them as pairs and prints the comparison; what `run` says goes to
    stderr. Returns the exit status of `compare`, or 128 + the signal that ended it. UsageError for the
    user's mistakes, when a revision does not build, and when this machine is measured already."""
    asked = options.run
    suite = override(
        load_suite(asked.suite),
        RunOptions(asked.suite, settings=asked.settings, targets=asked.targets),
    )
    _say_what_is_left_out(suite)
    check_driver(suite)
    paths.binary("spawnpool-trial")
    revisions = [resolve(paths.ROOT, ref) for ref in (options.base, options.head)]
    if revisions[0].source == revisions[1].source:
        words = f"'{options.base}' and '{options.head}' are both {revisions[0]}"
        print(
            f"spawnpool: {words}: an A/A, in which every difference is noise",
            file=sys.stderr,
        )
    with machine_lock(), Interruption() as interruption:  # a build would disturb a measurement
        builds = []
        for revision in revisions:
            built = build(paths.ROOT, revision, interruption)
            if built is None:
                break
            builds.append(built)
        forget_old(paths.ROOT, {revision.source for revision in revisions})
    if interruption.signal is not None:
        return 128 + interruption.signal
    base, head = builds
    # A suite as any other, for `run --resume` to go on with.
    path = cache(paths.ROOT) / head.revision.source / f"{suite['name']}-{base.revision.source}.json"
    path.write_text(json.dumps(paired(suite, base, head), indent=1), encoding="utf-8")
    out = asked.out or default_out(suite)
    with redirect_stdout(sys.stderr):
        status = run(replace(asked, suite=str(path), settings=(), targets=None, out=out))
    if status >= 128:
        return status
    return compare(CompareOptions(out, strict=options.strict, format=options.format))


def paired(suite: Json, base: Built, head: Built) -> Json:
    """The suite with two targets, NAME@base and NAME@head, for each of its serving models, and without
    what would be the same for both: other servers and micro-benchmarks."""
    targets = []
    for target in suite["targets"]:
        if "model" not in target:
            continue
        for side, built in (("base", base), ("head", head)):
            options = ["--model", target["model"], "--port", "0", *target.get("options", [])]
            entry = {
                "name": f"{target['name']}@{side}",
                "command": [str(built.server), *options],
                "ready_line": True,
                "revision": built.to_json(),
            }
            if side == "head":
                entry["against"] = f"{target['name']}@base"
            targets.append(entry)
    return {**{key: value for key, value in suite.items() if key != "micro"}, "targets": targets}


def _say_what_is_left_out(suite: Json) -> None:
    """UsageError when nothing would be left."""
    others = [target["name"] for target in suite["targets"] if "model" not in target]
    if len(others) == len(suite["targets"]):
        raise UsageError(
            f"no target is one of this project's servers, of which revisions differ: {', '.join(others)}; "
            "name others with --targets, or another suite"
        )
    if "micro" in suite:
        others.append("micro-benchmarks")
    if others:
        print(
            f"spawnpool: left out, as it is the same for both revisions: {', '.join(others)}",
            file=sys.stderr,
        )
