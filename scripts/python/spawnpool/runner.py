"""The command `run`: every trial of a suite, recorded as it comes, and its micro-benchmarks."""
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from spawnpool import paths
from spawnpool.begin import begun_result, new_result
from spawnpool.calibration import calibration_plan, calibration_suite
from spawnpool.child import Interruption
from spawnpool.context import gather_context, utc_now
from spawnpool.cool_down import CoolDown
from spawnpool.documents import Json
from spawnpool.dry_run import print_plan
from spawnpool.durations import seconds
from spawnpool.errors import UsageError
from spawnpool.estimate import cut_words, readable
from spawnpool.lock import machine_lock
from spawnpool.looks import resolved, up_to
from spawnpool.micro import micro_done, micro_failures, micro_names, micro_planned, run_micro
from spawnpool.options import RunOptions
from spawnpool.plan import PlannedTrial, trial_key
from spawnpool.preflight import Build, check_driver, check_options
from spawnpool.progress import describe_micro, describe_trial, progress
from spawnpool.recorder import Recorder
from spawnpool.results import ResultSchema, claim
from spawnpool.suite import available, load_suite, override, trial_spec
from spawnpool.table import failures, print_tables
from spawnpool.trial import run_trial


def run(options: RunOptions) -> int:
    """Runs what is planned and not yet in the result. Returns the exit status: 0 every trial is
    valid, 1 some are not, or were left out for the budget, or a micro-benchmark failed, 128 + the signal
    that ended it. UsageError for the user's mistakes, and when this machine is measured already."""
    suite = available(override(load_suite(options.suite), options))
    for skip in suite["skipped"]:
        words = f"target '{skip['target']}' cannot run: {skip['reason']}"
        if options.targets is not None:
            raise UsageError(words)
        print(f"spawnpool: skipped: {words}", file=sys.stderr)
    paths.binary("spawnpool-trial")
    check_driver(suite)
    benchmarks = micro_names(suite["micro"]) if "micro" in suite else []
    if options.dry_run:
        _, result = new_result(options, suite, len(benchmarks), gather_context())
        _say_what_was_cut(result)
        print_plan(result, len(benchmarks), sys.stdout)
        return 0
    with machine_lock():
        check_options(suite)
        return _run(options, suite, benchmarks)


def _run(options: RunOptions, suite: Json, benchmarks: Sequence[str]) -> int:
    schema, build = ResultSchema(), Build()
    context = gather_context()  # before this run loads the machine
    if options.resume:
        out, result = begun_result(options, suite, context, schema)
    else:
        out, result = new_result(options, suite, len(benchmarks), context)
        _say_what_was_cut(result)
        claim(out)
    before, total = _count(result)
    with (
        Interruption() as interruption,
        Recorder(out, result, schema) as recorder,
        progress(before, total - before) as report,
    ):
        steps = _Steps(result, schema, build, recorder, interruption, report)
        steps.run(benchmarks)
        measured, planned = _count(result)
        done = measured == planned
        signal = None if done else interruption.signal
        if result["run"]["ended_by"] != "resolved":
            result["run"]["ended_by"] = (
                "complete" if done else "signal" if signal is not None else "budget"
            )
        result["run"]["elapsed_s"] = round(result["run"]["elapsed_s"] + steps.elapsed_s, 1)
    if signal is not None:
        _say_how_to_resume("interrupted", options, out, result)
        return 128 + signal
    status = _conclude(out, result)
    if not done:
        _say_how_to_resume(f"the budget of {suite['budget']} is spent", options, out, result)
        return 1
    return status


class _Steps:
    """What is left of a run, step by step: calibration, trials, repetitions of the micro-benchmarks."""

    def __init__(
        self,
        result: Json,
        schema: ResultSchema,
        build: Build,
        recorder: Recorder,
        interruption: Interruption,
        report: Callable[[str], None],
    ) -> None:
        self._result, self._suite = result, result["suite"]
        self._schema, self._build, self._recorder = schema, build, recorder
        self._interruption, self._report = interruption, report
        self._cool_down = CoolDown()
        self._started = time.monotonic()
        self.over_budget = False

    @property
    def elapsed_s(self) -> float:
        """Since this was made."""
        return time.monotonic() - self._started

    def run(self, benchmarks: Sequence[str]) -> None:
        """Ends early when the user interrupts it, and between two blocks when the budget is spent."""
        self._run_trials(
            "calibration", calibration_plan(self._suite), calibration_suite(self._suite)
        )
        if self._interruption.signal is None:
            self._recorder.resolve()
        plan = [PlannedTrial(**planned) for planned in self._suite["planned"]]
        self._run_trials("trials", plan, self._suite)
        for index in micro_planned(self._suite):
            if index in micro_done(self._result["micro"]):
                continue
            if self._ends_here():
                return
            runs = run_micro(benchmarks, self._suite["micro"], index, self._interruption)
            if runs is not None:
                self._recorder.add_micro(runs)
                self._report(describe_micro(runs))

    def _run_trials(self, kind: str, plan: Sequence[PlannedTrial], suite: Json) -> None:
        done = {trial_key(trial) for trial in self._result[kind]}
        block = None
        for planned in plan:
            if trial_key(planned.to_json()) in done:
                block = planned.block
                continue
            # A block is not cut: every point is to have as many pairs as any other.
            between_blocks = planned.block != block
            if self._ends_here(between_blocks):
                return
            if between_blocks and kind == "trials" and self._resolved(planned.block):
                return
            block = planned.block
            trial = self._measure(planned, suite)
            if trial is not None:
                self._recorder.add(kind, trial)
                self._report(describe_trial(kind, trial))

    def _resolved(self, blocks: int) -> bool:
        """Whether a look is due after so many blocks, and tells all verdicts. The result is then one of
        these blocks."""
        if blocks not in self._suite.get("looks", []) or not resolved(self._result, blocks):
            return False
        self._suite.update(up_to(self._result, blocks)["suite"])
        self._result["run"]["ended_by"] = "resolved"
        return True

    def _ends_here(self, between_blocks: bool = True) -> bool:
        """Whether the next step is not to begin. UsageError when the build is another by now."""
        budget = self._suite.get("budget")
        if between_blocks and budget is not None and self.elapsed_s > seconds(budget):
            self.over_budget = True
        if self._interruption.signal is not None or self.over_budget:
            return True
        self._build.check()
        return False

    def _measure(self, planned: PlannedTrial, suite: Json) -> Json | None:
        spec = trial_spec(suite, planned, self._suite["seed"])
        trial: Json | None
        if "rate_fraction" in planned.point and "rate" not in planned.point:
            words = (
                "no calibration trial of this scenario is valid, so nobody knows the rate to offer"
            )
            trial = self._schema.failed_trial(spec, utc_now(), "no-saturation", words)
        else:
            binary = paths.binary("spawnpool-trial")
            first = not (self._result["calibration"] or self._result["trials"])
            trial = run_trial(
                binary, spec, self._schema, self._interruption, self._cool_down, first
            )
        return None if trial is None else {**trial, "point": planned.point}


def _count(result: Json) -> tuple[int, int]:
    """How many steps are done and how many there are in all: trials, those of the calibration too,
    and repetitions of the micro-benchmarks."""
    suite = result["suite"]
    trials = len(result["calibration"]) + len(result["trials"])
    planned = len(calibration_plan(suite)) + len(suite["planned"])
    return trials + len(micro_done(result["micro"])), planned + len(micro_planned(suite))


def _say_what_was_cut(result: Json) -> None:
    suite = result["suite"]
    asked = suite.get("until_resolved", result["run"]["blocks_asked"])
    if suite["blocks"] < asked:
        print(f"spawnpool: {cut_words(suite, asked)}", file=sys.stderr)


def _say_how_to_resume(why: str, options: RunOptions, out: Path, result: Json) -> None:
    done, planned = _count(result)
    steps = "steps" if "micro" in result["suite"] else "trials"
    print(f"{why}: {out} holds {done} of {planned} {steps}; go on with", file=sys.stderr)
    print(f"  {options.to_resume(out)}", file=sys.stderr)


def _conclude(out: Path, result: Json) -> int:
    print_tables(result, sys.stdout)
    if result["run"]["ended_by"] == "resolved":
        most = result["suite"]["looks"][-1]
        print(f"every verdict is told after {result['suite']['blocks']} of at most {most} blocks")
    took, expected = (readable(result["run"][key]) for key in ("elapsed_s", "expected_s"))
    print(f"took {took}, expected were {expected}")
    print(f"result: {out}")
    wrong = failures(result["calibration"], "calibration, ") + failures(result["trials"])
    wrong += micro_failures(result["micro"])
    for line in wrong:
        print(f"spawnpool: {line}", file=sys.stderr)
    return 1 if wrong else 0
