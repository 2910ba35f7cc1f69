"""The command `run`: every trial of a suite, written to the result after each, and its
micro-benchmarks."""
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from spawnpool import paths
from spawnpool.calibration import calibration_plan, calibration_suite, resolved
from spawnpool.child import Interruption
from spawnpool.context import gather_context, utc_now
from spawnpool.documents import Json
from spawnpool.errors import UsageError
from spawnpool.micro import micro_done, micro_failures, micro_names, micro_planned, run_micro
from spawnpool.plan import PAIRS_PER_BLOCK, PlannedTrial, draw_plan, trial_key
from spawnpool.preflight import Build, check_driver, check_options
from spawnpool.progress import describe_micro, describe_trial, progress
from spawnpool.recorder import Recorder
from spawnpool.results import SCHEMA_VERSION, ResultSchema, claim, read_result
from spawnpool.suite import available, load_suite, override, trial_spec
from spawnpool.table import failures, print_tables
from spawnpool.trial import run_trial

# What has to be the same for trials to go into one result.
SAME_CONTEXT = ("hostname", "kernel", "cpu_model", "affinity", "binaries", "versions")


@dataclass(frozen=True)
class RunOptions:
    """The command line of `run`; None where an option is not given."""

    suite: str
    out: Path | None = None
    targets: Sequence[str] | None = None
    blocks: int | None = None
    driver: str | None = None
    seed: int | None = None
    resume: bool = False


def run(options: RunOptions) -> int:
    """Runs what is planned and not yet in the result. Returns the exit status: 0 every trial is
    valid, 1 some are not or a micro-benchmark failed, 128 + the signal that ended it. UsageError for the user's mistakes.
    """
    suite = load_suite(options.suite)
    suite = available(override(suite, options.targets, options.blocks, options.driver))
    for skip in suite["skipped"]:
        words = f"target '{skip['target']}' cannot run: {skip['reason']}"
        if options.targets is not None:
            raise UsageError(words)
        print(f"spawnpool: skipped: {words}", file=sys.stderr)
    trial_binary = paths.binary("spawnpool-trial")
    check_driver(suite)
    check_options(suite)
    benchmarks = micro_names(suite["micro"]) if "micro" in suite else []

    schema = ResultSchema()
    build = Build()
    context = gather_context()
    if options.resume:
        out, result = _resume(options, suite, context, schema)
    else:
        out, result = _start(options, suite, context)
    before, total = _count(result)
    with (
        Interruption() as interruption,
        Recorder(out, result, schema) as recorder,
        progress(before, total - before) as report,
    ):

        def run_all(plan: list[PlannedTrial], kind: str, trials_suite: Json) -> None:
            done = {trial_key(trial) for trial in result[kind]}
            for planned in plan:
                if interruption.signal is not None:
                    return
                if trial_key(planned.to_json()) in done:
                    continue
                build.check()
                trial = _measure(trial_binary, trials_suite, planned, result, schema, interruption)
                if trial is not None:
                    recorder.add(kind, trial)
                    report(describe_trial(kind, trial))

        run_all(calibration_plan(suite), "calibration", calibration_suite(suite))
        if interruption.signal is None:
            recorder.resolve()
        plan = [PlannedTrial(**planned) for planned in result["suite"]["planned"]]
        run_all(plan, "trials", suite)
        for index in micro_planned(suite):
            if index in micro_done(result["micro"]) or interruption.signal is not None:
                continue
            build.check()
            runs = run_micro(benchmarks, suite["micro"], index, interruption)
            if runs is not None:
                recorder.add_micro(runs)
                report(describe_micro(runs))
    if interruption.signal is not None and _count(result)[0] < total:
        _say_how_to_resume(options, out, result)
        return 128 + interruption.signal
    return _conclude(out, result)


def _count(result: Json) -> tuple[int, int]:
    """How many steps are done and how many there are in all: trials, those of the calibration too,
    and repetitions of the micro-benchmarks."""
    suite = result["suite"]
    trials = len(result["calibration"]) + len(result["trials"])
    planned = len(calibration_plan(suite)) + len(suite["planned"])
    return trials + len(micro_done(result["micro"])), planned + len(micro_planned(suite))


def _measure(
    binary: Path,
    suite: Json,
    planned: PlannedTrial,
    result: Json,
    schema: ResultSchema,
    interruption: Interruption,
) -> Json | None:
    spec = trial_spec(suite, planned, result["suite"]["seed"])
    trial: Json | None
    if "rate_fraction" in planned.point and "rate" not in planned.point:
        words = "no calibration trial of this scenario is valid, so nobody knows the rate to offer"
        trial = schema.failed_trial(spec, utc_now(), "no-saturation", words)
    else:
        trial = run_trial(binary, spec, schema, interruption)
    return None if trial is None else {**trial, "point": planned.point}


def _start(options: RunOptions, suite: Json, context: Json) -> tuple[Path, Json]:
    seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    out = options.out or paths.RESULTS / f"{suite['name']}-{stamp}.json"
    claim(out)
    planned = [trial.to_json() for trial in draw_plan(suite, seed)]
    pairs = PAIRS_PER_BLOCK * suite["blocks"]
    return out, {
        "schema_version": SCHEMA_VERSION,
        "context": context,
        "suite": {**suite, "seed": seed, "pairs": pairs, "planned": planned},
        "calibration": [],
        "trials": [],
        "micro": [],
        "summary": [],
    }


def _resume(
    options: RunOptions, suite: Json, context: Json, schema: ResultSchema
) -> tuple[Path, Json]:
    if options.out is None:
        raise UsageError("--resume goes on with a result: name it with --out FILE")
    result = read_result(options.out, schema)
    before = dict(result["suite"])
    if options.seed not in (None, before["seed"]):
        raise UsageError(f"{options.out} was begun with --seed {before['seed']}: leave --seed out")
    for key in sorted((set(before) | set(suite)) - {"seed", "pairs", "planned"}):
        if before.get(key) != suite.get(key):
            raise UsageError(
                f"{options.out} is of another suite: '{key}' differs; "
                "give the suite and options it was begun with, or begin a new result"
            )
    for key in SAME_CONTEXT:
        if result["context"][key] != context[key]:
            raise UsageError(
                f"{options.out} was begun under other circumstances: '{key}' differs; begin a new result"
            )
    return options.out, result


def _say_how_to_resume(options: RunOptions, out: Path, result: Json) -> None:
    words = ["scripts/spawnpool", "run", options.suite]
    words += ["--targets", ",".join(options.targets)] if options.targets is not None else []
    words += ["--blocks", str(options.blocks)] if options.blocks is not None else []
    words += ["--driver", options.driver] if options.driver is not None else []
    words += ["--out", str(out), "--resume"]
    done, planned = _count(result)
    steps = "steps" if "micro" in result["suite"] else "trials"
    print(f"interrupted: {out} holds {done} of {planned} {steps}; go on with", file=sys.stderr)
    print("  " + " ".join(words), file=sys.stderr)


def _conclude(out: Path, result: Json) -> int:
    print_tables(result, sys.stdout)
    print(f"result: {out}")
    wrong = failures(result["calibration"], "calibration, ") + failures(result["trials"])
    wrong += micro_failures(result["micro"])
    for line in wrong:
        print(f"spawnpool: {line}", file=sys.stderr)
    return 1 if wrong else 0
