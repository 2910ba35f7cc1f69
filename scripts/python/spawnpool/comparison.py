"""Comparisons: the targets of a result against each other, with a verdict for each metric that is gated."""
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spawnpool.documents import Json
from spawnpool.errors import UsageError, unknown
from spawnpool.load import point_title
from spawnpool.metrics import METRICS, Gate, Metric, gates, shown, varies
from spawnpool.statistics import pair_logs
from spawnpool.summary import Rounds, paired_values, places, valid_pairs
from spawnpool.verdicts import Exact, Judgement, Noisy, Question, Unanswerable, Verdict
from spawnpool.verdicts import estimate, exit_status, gate

EXIT_BAD_DATA = 2
NO_LOGARITHM = "a value of 0 has no logarithm"


@dataclass(frozen=True)
class Line:
    """One metric of two targets at a scenario and point. The values are the medians of all valid trials,
    None where no trial has it; the judgement has no verdict where the metric is only shown."""

    scenario: str
    point: Json
    base: str
    target: str
    metric: Metric
    gate: Gate
    base_value: float | None
    target_value: float | None
    judgement: Judgement

    @property
    def place(self) -> str:
        """The scenario and point, for people."""
        return point_title(self.scenario, self.point)

    @property
    def word(self) -> str:
        """The verdict in a word of everyday speech; "" where the metric is only shown."""
        verdict = self.judgement.verdict
        if verdict == Verdict.REGRESSED:
            return "slower" if self.metric.speed else "worse"
        if verdict == Verdict.IMPROVED:
            return "faster" if self.metric.speed else "better"
        return {None: "", Verdict.EQUIVALENT: "equivalent"}.get(verdict, "cannot tell")


@dataclass(frozen=True)
class Comparison:
    """What `compare` found: a line for each metric worth one, in the order of the suite; notes for the
    reader; and faults of the data, for which no verdict stands."""

    result: Path
    lines: list[Line]
    notes: list[str]
    faults: list[str]

    def verdicts(self) -> Counter[Verdict]:
        """How many of the gated lines have which verdict."""
        return Counter(line.judgement.verdict for line in self.lines if line.judgement.verdict)

    def status(self, strict: bool) -> int:
        """The exit status: 2 where the data are at fault, else 1 where something regressed, 3 where
        `strict` and something cannot be told, 0."""
        return EXIT_BAD_DATA if self.faults else exit_status(self.verdicts(), strict)


def within(path: Path, result: Json, targets: Sequence[str] | None = None) -> Comparison:
    """Compares the targets of one run in pairs: the first, of those named or of the suite, is the base
    of every other. `result` has a summary of its trials. UsageError where there are not two targets.
    """
    base, *others = _chosen(result["suite"], targets)
    judged = gates(result["suite"])
    asked = {entry["path"] for entry in result["suite"].get("metrics", [])}
    drafts: list[Draft] = []
    notes = list(_unfinished(result))
    faults: list[str] = []
    for (scenario, point, rounds), entry in zip(
        places(result["suite"], result["trials"]), result["summary"], strict=True
    ):
        told = {target["target"]: target["metrics"] for target in entry["targets"]}
        rows = shown(entry)
        for other in others:
            pairs = valid_pairs(rounds[base], rounds[other])
            lost = _lost(
                point_title(scenario, point), (base, other), rounds, entry["pairs_planned"]
            )
            (notes if pairs else faults).extend(lost)
            for metric in METRICS:
                sides = (told[base][metric.path], told[other][metric.path])
                known = any(side["median"] is not None for side in sides)
                how = judged[metric.path]
                if how.kind == "shown":
                    worth_a_line = known and metric in rows
                else:
                    worth_a_line = known or metric.path in asked
                if worth_a_line:
                    drafts.append(Draft(scenario, point, base, other, metric, how, sides, pairs))
    lines, varying = judge(drafts)
    return Comparison(path, lines, notes, faults + varying)


@dataclass(frozen=True)
class Draft:
    """A line without its judgement. `sides` are base and target as the summary tells them."""

    scenario: str
    point: Json
    base: str
    target: str
    metric: Metric
    gate: Gate
    sides: tuple[Json, Json]
    pairs: list[tuple[Json, Json]]

    def question(self) -> Question | None:
        """What is to be judged; None where the metric is only shown."""
        kind, margin = self.gate.kind, self.gate.margin
        if kind == "shown" or margin is None or self.metric.better is None:
            return None
        for name, side in zip((self.base, self.target), self.sides):
            if side["median"] is None:
                return Unanswerable(f"not known of {name}: {side['reason']}")
        if kind == "exact":
            if any(self.varying()):
                return Unanswerable("it varies between trials")
            base, target = (side["median"] for side in self.sides)
            return Exact(self.metric.better, margin, base, target)
        values = paired_values(self.metric, self.pairs)
        if any(min(pair) <= 0 for pair in values):
            return Unanswerable(NO_LOGARITHM)
        return Noisy(self.metric.better, margin, pair_logs(*_columns(values)))

    def varying(self) -> Iterator[str]:
        """The targets between whose trials a metric that is gated as exact varies, with its range."""
        if self.gate.kind != "exact" or self.gate.margin is None:
            return
        for name, side in zip((self.base, self.target), self.sides):
            ends = (side["min"], side["max"])
            if side["median"] is not None and varies(ends, self.gate.margin):
                yield (
                    f"{point_title(self.scenario, self.point)}: {self.metric.path} of {name} varies "
                    f"between trials, {ends[0]:g} to {ends[1]:g}, though it is gated as exact"
                )

    def shown(self) -> Judgement:
        """What is told of a metric without a verdict."""
        values = paired_values(self.metric, self.pairs)
        if any(min(pair) <= 0 for pair in values):
            return Judgement(None, reason=NO_LOGARITHM)
        return estimate(pair_logs(*_columns(values)))

    def line(self, judgement: Judgement) -> Line:
        """The line with its judgement."""
        base, target = (side["median"] for side in self.sides)
        place = (self.scenario, self.point, self.base, self.target)
        return Line(*place, self.metric, self.gate, base, target, judgement)


def judge(drafts: Sequence[Draft]) -> tuple[list[Line], list[str]]:
    """The lines, all that are gated judged together, and the faults of exact metrics that vary."""
    questions = [draft.question() for draft in drafts]
    answers = iter(gate([question for question in questions if question is not None]))
    lines = [
        draft.line(draft.shown() if question is None else next(answers))
        for draft, question in zip(drafts, questions)
    ]
    faults = dict.fromkeys(fault for draft in drafts for fault in draft.varying())
    return lines, list(faults)


def _columns(pairs: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [a for a, _ in pairs], [b for _, b in pairs]


def _chosen(suite: Json, targets: Sequence[str] | None) -> list[str]:
    """The names of the targets to compare, the base first."""
    names = [target["name"] for target in suite["targets"]]
    chosen = list(targets or names)
    for name in chosen:
        if name not in names:
            raise unknown("target", name, names)
    if len(set(chosen)) < 2 or len(set(chosen)) < len(chosen):
        raise UsageError(
            f"two targets or more are to be compared, not {', '.join(chosen)}: "
            f"name them with --targets, of {', '.join(names)}"
        )
    return chosen


def _unfinished(result: Json) -> Iterator[str]:
    ran, planned = len(result["trials"]), len(result["suite"]["planned"])
    if ran < planned:
        yield f"the run is not at its end: {ran} of {planned} trials are there"


def _lost(place: str, names: tuple[str, str], rounds: Rounds, planned: int) -> Iterator[str]:
    """How many pairs there are of those planned, and what became of the others; nothing of a whole set."""
    kept = len(valid_pairs(*(rounds[name] for name in names)))
    if kept == planned:
        return
    causes: Counter[str] = Counter()
    for name in names:
        for trial in rounds[name].values():
            if trial["status"] != "valid":
                code = trial["reasons"][0]["code"]
                causes[f"{name} {trial['status']} ({code})"] += 1
        missing = planned - len(rounds[name])
        if missing:
            causes[f"{name} not run"] += missing
    told = ", ".join(f"{count} x {cause}" for cause, count in causes.items())
    yield f"{place}: {kept} of {planned} pairs of {names[0]} and {names[1]} are valid: {told}"
