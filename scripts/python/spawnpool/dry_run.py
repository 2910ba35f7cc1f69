"""What a run would do and how long it would take, told before anything is started."""
from itertools import groupby
from typing import TextIO

from spawnpool.calibration import calibration_plan
from spawnpool.documents import Json
from spawnpool.durations import seconds
from spawnpool.estimate import calibration_seconds, micro_seconds, readable
from spawnpool.load import point_title
from spawnpool.plan import PlannedTrial


def print_plan(result: Json, benchmarks: int, stream: TextIO) -> None:
    """Every trial in its order, a line for each visit to a point, and the expected duration of each kind
    of step. `result` is one before its first trial; the suite's filter finds so many micro-benchmarks.
    """

    def say(words: str) -> None:
        print(words, file=stream)

    suite, run = result["suite"], result["run"]
    calibration = calibration_plan(suite)
    trials = [PlannedTrial(**planned) for planned in suite["planned"]]
    for kind, plan in (("calibration", calibration), ("block", trials)):

        def visit(planned: PlannedTrial) -> str:
            round_or_block = f"{kind} {planned.block + 1}"
            return f"{round_or_block}, {point_title(planned.scenario, planned.point)}"

        for where, visited in groupby(plan, key=visit):
            say(f"{where}: {', '.join(planned.target for planned in visited)}")
    micro = suite.get("micro")
    if micro:
        each = f"{micro['repetitions']} x {benchmarks} micro-benchmarks of {micro['min_time']}"
        say(f"{each}: {readable(micro_seconds(suite, benchmarks))}")
    if calibration:
        say(f"{len(calibration)} trials of calibration: {readable(calibration_seconds(suite))}")
    load = seconds(suite["warmup"]) + seconds(suite["duration"])
    others = calibration_seconds(suite) + micro_seconds(suite, benchmarks)
    say(
        f"{len(trials)} trials, {suite['pairs']} pairs at each point: {readable(run['expected_s'] - others)}, "
        f"of which {readable(len(trials) * load)} are warm-ups ({suite['warmup']}) and windows ({suite['duration']})"
    )
    if "looks" in suite:
        say(f"looks for verdicts after {', '.join(map(str, suite['looks']))} blocks")
    say(f"drawn from --seed {suite['seed']}")
    most = "at most " if "looks" in suite else ""
    say(f"expected: {most}{readable(run['expected_s'])}")
