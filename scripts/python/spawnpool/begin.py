"""The result of a run before its first trial: begun anew, or one to go on with."""
import random
from datetime import datetime, timezone
from pathlib import Path

from spawnpool import paths
from spawnpool.documents import Json
from spawnpool.errors import UsageError
from spawnpool.estimate import expected_seconds, fitting_blocks
from spawnpool.looks import check_looks, declared_looks
from spawnpool.options import RunOptions
from spawnpool.plan import PAIRS_PER_BLOCK, draw_plan
from spawnpool.results import SCHEMA_VERSION, ResultSchema, read_result

# What has to be the same for trials to go into one result.
SAME_CONTEXT = ("hostname", "kernel", "cpu_model", "affinity", "binaries", "versions")
# What a result's suite has beyond the suite that was asked for.
DRAWN = {"seed", "pairs", "planned", "looks"}


def default_out(suite: Json) -> Path:
    """Where the result of a run that begins now goes, unless the user says otherwise."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    return paths.RESULTS / f"{suite['name']}-{stamp}.json"


def new_result(
    options: RunOptions, suite: Json, benchmarks: int, context: Json
) -> tuple[Path, Json]:
    """Where a new result goes, and the result, planned and without a trial; its blocks are those that
    fit into the suite's budget, beside so many micro-benchmarks. UsageError when not even one does.
    """
    seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    out = options.out or default_out(suite)
    run = {
        "settings": list(options.settings),
        "blocks_asked": suite["blocks"],
        "expected_s": 0.0,
        "elapsed_s": 0.0,
        "ended_by": None,
    }
    first = suite["blocks"]
    if "until_resolved" in suite:
        check_looks(suite)
        suite = {**suite, "blocks": suite["until_resolved"]}
    # Now, not on the way: how many there are may not depend on what they measure.
    suite = {**suite, "blocks": fitting_blocks(suite, benchmarks)}
    if "until_resolved" in suite:
        suite["looks"] = declared_looks(first, suite["blocks"])
    run["expected_s"] = round(expected_seconds(suite, benchmarks), 1)
    planned = [trial.to_json() for trial in draw_plan(suite, seed)]
    pairs = PAIRS_PER_BLOCK * suite["blocks"]
    return out, {
        "schema_version": SCHEMA_VERSION,
        "context": context,
        "suite": {**suite, "seed": seed, "pairs": pairs, "planned": planned},
        "run": run,
        "calibration": [],
        "trials": [],
        "micro": [],
        "summary": [],
    }


def begun_result(
    options: RunOptions, suite: Json, context: Json, schema: ResultSchema
) -> tuple[Path, Json]:
    """The result to go on with. UsageError when it is of another suite or of other circumstances."""
    if options.out is None:
        raise UsageError("--resume goes on with a result: name it with --out FILE")
    result = read_result(options.out, schema)
    before = {**result["suite"], "blocks": result["run"]["blocks_asked"]}
    if options.seed not in (None, before["seed"]):
        raise UsageError(f"{options.out} was begun with --seed {before['seed']}: leave --seed out")
    for key in sorted((set(before) | set(suite)) - DRAWN):
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
