#!/usr/bin/python3 -Es
"""What `spawnpool run` does between two trials, beside results of 10, 1,000 and 10,000 trials.

It is to stay within 50 ms, however many trials there are: ends with 1 when it does not. What a run does
once, at its beginning and its end, grows with the trials and is told beside it.
"""
import copy
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "python"))

from spawnpool.documents import Json
from spawnpool.plan import PAIRS_PER_BLOCK, PlannedTrial, draw_plan, trial_key
from spawnpool.preflight import Build
from spawnpool.progress import describe_trial
from spawnpool.recorder import Recorder
from spawnpool.results import ResultSchema, read_result
from spawnpool.suite import trial_spec
from spawnpool.testing import example_result

TRIALS = (10, 1_000, 10_000)
MEASURED = 20  # trials that are added to each
GOAL_MS = 50.0


def begun(example: Json, trials: int) -> tuple[Json, list[Json]]:
    """A result with this many trials of `quick`, and those that come next."""
    suite = copy.deepcopy(example["suite"])
    per_block = len(example["trials"]) // suite["blocks"]
    suite["blocks"] = -(-(trials + MEASURED) // per_block)
    plan = [planned.to_json() for planned in draw_plan(suite, 1)]
    suite.update(planned=plan, pairs=PAIRS_PER_BLOCK * suite["blocks"])
    measured = {trial["target"]: trial for trial in example["trials"]}
    all_trials = [{**measured[planned["target"]], **planned} for planned in plan]
    result = {**example, "suite": suite, "trials": all_trials[:trials]}
    return result, all_trials[trials : trials + MEASURED]


def step(recorder: Recorder, build: Build, suite: Json, trial: Json) -> None:
    """What is done between the end of a trial and the start of the next, but for starting it."""
    planned = PlannedTrial(
        **{key: trial[key] for key in ("scenario", "point", "target", "block", "position")}
    )
    recorder.add("trials", trial)
    describe_trial("trials", trial)
    trial_key(planned.to_json())
    build.check()
    trial_spec(suite, planned, suite["seed"])


def timed_ms(call: Callable[..., object], *arguments: object) -> float:
    started = time.perf_counter()
    call(*arguments)
    return 1e3 * (time.perf_counter() - started)


def main() -> int:
    schema, build, example, worst = ResultSchema(), Build(), example_result(), 0.0
    print(
        f"{'trials':>8} {'median, ms':>11} {'most, ms':>9} {'begin, ms':>10} {'end, ms':>9} {'read, ms':>9}"
    )
    for trials in TRIALS:
        result, following = begun(example, trials)
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "result.json"
            recorder = Recorder(path, result, schema)
            begin = timed_ms(recorder.__enter__)
            steps = [timed_ms(step, recorder, build, result["suite"], it) for it in following]
            end = timed_ms(recorder.__exit__, None, None, None)
            read = timed_ms(read_result, path, schema)
        median = statistics.median(steps)
        worst = max(worst, median)
        print(
            f"{trials:8,} {median:11.1f} {max(steps):9.1f} {begin:10.0f} {end:9.0f} {read:9.0f}",
            flush=True,
        )
    return 0 if worst <= GOAL_MS else 1


if __name__ == "__main__":
    sys.exit(main())
