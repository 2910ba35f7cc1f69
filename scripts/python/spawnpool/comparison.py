"""Comparisons: two targets, metric by metric, with a verdict for each metric that is gated."""
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spawnpool.cross_check import CrossCheck, cross_check
from spawnpool.documents import Json
from spawnpool.errors import UsageError, unknown
from spawnpool.load import point_title
from spawnpool.metrics import METRICS, Gate, Metric, gates, shown, varies
from spawnpool.statistics import Array, Pairs, Runs, pair_logs
from spawnpool.summary import Rounds, look_count, places, summarize_place, valid_pairs
from spawnpool.values import PairedValues
from spawnpool.verdicts import Exact, Judgement, Noisy, Question, Unanswerable, Verdict
from spawnpool.verdicts import estimate, exit_status, gate

EXIT_BAD_DATA = 2
NO_LOGARITHM = "a value of 0 has no logarithm"


@dataclass(frozen=True)
class Line:
    """One metric of two targets at a scenario and point. The values are the medians of all valid trials,
    None where no trial has it; the judgement has no verdict where the metric is only shown. The sample is
    what was judged; None of a metric that is counted, or of which nothing can be told."""

    scenario: str
    point: Json
    base: str
    target: str
    metric: Metric
    gate: Gate
    base_value: float | None
    target_value: float | None
    judgement: Judgement
    sample: Pairs | Runs | None = field(default=None, repr=False, compare=False)

    def cross_check(self) -> CrossCheck | None:
        """What other methods tell of the pairs; None where there are none, or too few. Takes up to a
        tenth of a second."""
        return cross_check(self.sample) if isinstance(self.sample, Pairs) else None

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
    reader; and faults of the data, for which no verdict stands. With `bases` the result was compared
    with these runs, without them its own targets in pairs."""

    result: Path
    lines: list[Line]
    notes: list[str]
    faults: list[str]
    bases: Sequence[Path] = ()

    def verdicts(self) -> Counter[Verdict]:
        """How many of the gated lines have which verdict."""
        return Counter(line.judgement.verdict for line in self.lines if line.judgement.verdict)

    def status(self, strict: bool) -> int:
        """The exit status: 2 where the data are at fault, else 1 where something regressed, 3 where
        `strict` and something cannot be told, 0."""
        return EXIT_BAD_DATA if self.faults else exit_status(self.verdicts(), strict)


def within(path: Path, result: Json, targets: Sequence[str] | None = None) -> Comparison:
    """Compares the targets of one run in pairs: the first of those named is the base of every other.
    Where none are named, each is judged against the one that the suite says, and in a suite that says
    nothing against the first. The summary is made of the trials. UsageError where there are not two
    targets."""
    chosen = _chosen(result["suite"], targets)
    looks = look_count(result["suite"])
    drafts: list[Draft] = []
    notes = list(unfinished(result))
    faults: list[str] = []
    for place in places(result["suite"], result["trials"]):
        scenario, point, rounds = place.scenario, place.point, place.rounds
        entry = summarize_place(result["suite"], place)
        told = {target["target"]: target["metrics"] for target in entry["targets"]}
        for base, other in chosen:
            pairs = valid_pairs(rounds[base], rounds[other])
            lost = _lost(
                point_title(scenario, point), (base, other), rounds, entry["pairs_planned"]
            )
            (notes if pairs else faults).extend(lost)
            paired = PairedValues(place.values[base], place.values[other])
            for metric, how in lines_worth(result["suite"], entry, (told[base], told[other])):
                sides = (told[base][metric.path], told[other][metric.path])
                sample = _paired_sample(*paired.of(metric), looks)
                drafts.append(Draft(scenario, point, base, other, metric, how, sides, sample))
    lines, varying = judge(drafts)
    return Comparison(path, lines, notes, faults + varying)


def lines_worth(
    suite: Json, entry: Json, sides: tuple[Json, Json]
) -> Iterator[tuple[Metric, Gate]]:
    """The metrics that are worth a line at an entry of a summary, and how each is judged: those shown
    there, those gated that one of the sides has, and those that the suite asks to gate. The sides are
    the `metrics` of two targets."""
    rows, judged = shown(entry), gates(suite)
    asked = {asking["path"] for asking in suite.get("metrics", [])}
    for metric in METRICS:
        known = any(side[metric.path]["median"] is not None for side in sides)
        gate_ = judged[metric.path]
        wanted = metric in rows if gate_.kind == "shown" else known or metric.path in asked
        if wanted and (known or gate_.kind != "shown"):
            yield metric, gate_


def _paired_sample(base: Array, other: Array, looks: int) -> Pairs | None:
    """None where a value has no logarithm: no ground to leave its pair out."""
    if (base <= 0).any() or (other <= 0).any():
        return None
    return Pairs(pair_logs(base, other), looks)


@dataclass(frozen=True)
class Draft:
    """A line without its judgement. `sides` are base and target as a summary tells them; the sample is
    None where a value has no logarithm."""

    scenario: str
    point: Json
    base: str
    target: str
    metric: Metric
    gate: Gate
    sides: tuple[Json, Json]
    sample: Pairs | Runs | None

    @property
    def names(self) -> tuple[str, str]:
        """What the sides are called: between runs the target has one name."""
        if self.base == self.target:
            return f"{self.base} in the base", self.target
        return self.base, self.target

    def question(self) -> Question | None:
        """What is to be judged; None where the metric is only shown."""
        kind, margin = self.gate.kind, self.gate.margin
        if kind == "shown" or margin is None or self.metric.better is None:
            return None
        missing = self.missing()
        if missing is not None:
            return Unanswerable(missing)
        if kind == "exact":
            if any(self.varying()):
                return Unanswerable("it varies between trials")
            base, target = (side["median"] for side in self.sides)
            return Exact(self.metric.better, margin, base, target)
        if self.sample is None:
            return Unanswerable(NO_LOGARITHM)
        return Noisy(self.metric.better, margin, self.sample)

    def varying(self) -> Iterator[str]:
        """The targets between whose trials a metric that is gated as exact varies, with its range."""
        if self.gate.kind != "exact" or self.gate.margin is None:
            return
        for name, side in zip(self.names, self.sides):
            ends = (side["min"], side["max"])
            if side["median"] is not None and varies(ends, self.gate.margin):
                yield (
                    f"{point_title(self.scenario, self.point)}: {self.metric.path} of {name} varies "
                    f"between trials, {ends[0]:g} to {ends[1]:g}, though it is gated as exact"
                )

    def missing(self) -> str | None:
        """Why a side has no value; None where both have."""
        for name, side in zip(self.names, self.sides):
            if side["median"] is None:
                return f"not known of {name}: {side['reason']}"
        return None

    def shown(self) -> Judgement:
        """What is told of a metric without a verdict."""
        missing = self.missing()
        if missing is not None:
            return Judgement(None, reason=missing)
        if self.sample is None:
            return Judgement(None, reason=NO_LOGARITHM)
        return estimate(self.sample)

    def line(self, judgement: Judgement) -> Line:
        """The line with its judgement."""
        base, target = (side["median"] for side in self.sides)
        place = (self.scenario, self.point, self.base, self.target)
        sampled = None if self.gate.kind == "exact" or self.missing() else self.sample
        return Line(*place, self.metric, self.gate, base, target, judgement, sampled)


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


def _chosen(suite: Json, targets: Sequence[str] | None) -> list[tuple[str, str]]:
    """The names of the targets to compare, each after its base."""
    names = [target["name"] for target in suite["targets"]]
    said = [(it["against"], it["name"]) for it in suite["targets"] if it.get("against") in names]
    if said and targets is None:
        return said
    chosen = list(targets or names)
    for name in chosen:
        if name not in names:
            raise unknown("target", name, names)
    if len(set(chosen)) < 2 or len(set(chosen)) < len(chosen):
        raise UsageError(
            f"two targets or more are to be compared, not {', '.join(chosen)}: "
            f"name them with --targets, of {', '.join(names)}"
        )
    return [(chosen[0], other) for other in chosen[1:]]


def unfinished(result: Json) -> Iterator[str]:
    """A note where trials of the plan are not there."""
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
