"""A comparison in words: what all its formats say."""
from dataclasses import dataclass
from itertools import groupby

from spawnpool.comparison import Comparison, Line
from spawnpool.table import NOT_KNOWN, interval_words, number, ratio_words
from spawnpool.verdicts import GATE_ALPHA, Verdict

COLUMNS = ("metric", "ratio", "interval", "n", "verdict", "would find")
CROSS_CHECK_COLUMNS = ("bootstrap", "Wilcoxon p")


@dataclass(frozen=True)
class Group:
    """The lines of two targets at one place: what makes one table. `base` and `target` head the values."""

    title: str
    base: str
    target: str
    lines: list[Line]


def groups(comparison: Comparison) -> list[Group]:
    """All lines, in their order."""
    found = []
    for (place, base, target), lines in groupby(
        comparison.lines, key=lambda line: (line.place, line.base, line.target)
    ):
        if comparison.bases:
            found.append(Group(f"{target}: {place}", "base", "result", list(lines)))
        else:
            found.append(Group(place, base, target, list(lines)))
    return found


def conclusion(comparison: Comparison) -> str:
    """All verdicts in a line."""
    counts = comparison.verdicts()
    told = [f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict]]
    if not told:
        return "no metric is gated"
    return f"{sum(counts.values())} gated: {', '.join(told)}"


PAIRED = (
    "ratio: target / base, the median over n pairs of adjacent trials, with the sign test's interval of "
    "at least 95 %."
)
UNPAIRED = (
    "Not paired: ratio is result / base of the medians of whole runs, where the base has n. The interval "
    "(95 %) is that in which one more run of the base would lie; it is known from two runs on."
)
JUDGED = (
    "A verdict has to be sure for all gated metrics together: of comparisons of equal servers at most "
    f"{100 * GATE_ALPHA / 2:g} % tell a regression. would find: the change for the worse that is found in 4 of "
    "5 cases with so much noise. Exact metrics are counted and compared as they are; those without a "
    "verdict are not gated."
)
CROSS_CHECKED = (
    "bootstrap, Wilcoxon p: what two other methods tell of the pairs, as a cross-check: the interval of "
    "95 % of the median by resampling, and the signed-rank test against no difference. No verdict is "
    "made of them: both believe the pairs to be independent, and the test that they lie symmetrically."
)


def explanations(comparison: Comparison) -> list[str]:
    """What a reader has to know, a line each."""
    method = f"{UNPAIRED if comparison.bases else PAIRED} {JUDGED}"
    return [method, *untold(comparison), *comparison.notes]


def untold(comparison: Comparison) -> list[str]:
    """Why some gated metrics are inconclusive, a line for each reason."""
    reasons: dict[str, list[str]] = {}
    for line in comparison.lines:
        if line.judgement.verdict == Verdict.INCONCLUSIVE:
            where = f"{line.metric.label} ({line.place}, {line.target})"
            reason = line.judgement.reason or "the interval that decides reaches across a margin"
            reasons.setdefault(reason, []).append(where)
    return [
        f"cannot tell {places[0]}{f' and {len(places) - 1} more' if places[1:] else ''}: {reason}"
        for reason, places in reasons.items()
    ]


def cells(line: Line) -> tuple[str, ...]:
    """The words of a line below COLUMNS, with the two values after the metric."""
    judged = line.judgement
    exact = line.gate.kind == "exact"
    least = judged.least_effect
    return (
        line.metric.title,
        number(line.base_value),
        number(line.target_value),
        NOT_KNOWN if judged.ratio is None else ratio_words(judged.ratio),
        "exact" if exact else interval_words(judged.interval),
        NOT_KNOWN if exact else str(judged.n),
        line.word,
        "" if least is None else f"{100 * least:.3g} %",
    )


def cross_check_cells(line: Line) -> tuple[str, ...]:
    """The words of a line below CROSS_CHECK_COLUMNS; empty where there are no pairs, or too few."""
    told = line.cross_check()
    if told is None:
        return ("", "")
    return interval_words(told.bootstrap_interval), f"{told.wilcoxon_p:.2g}"


def header(group: Group) -> tuple[str, ...]:
    """The heads of cells()."""
    return (COLUMNS[0], group.base, group.target, *COLUMNS[1:])


def sentence(line: Line) -> str:
    """A gated line in a sentence."""
    judged = line.judgement
    told = [f"{line.metric.label}: {line.word}"]
    if line.gate.kind == "noisy" and judged.ratio is not None:
        told.append(f"ratio {ratio_words(judged.ratio)}")
        if judged.interval is not None:
            told.append(f"interval {interval_words(judged.interval)}")
        told.append(f"margin {line.gate.margin:.4g}")
    told.append(f"{number(line.base_value)} -> {number(line.target_value)}")
    if judged.verdict == Verdict.INCONCLUSIVE:
        if judged.gate_interval is not None:
            told.append(f"what decides is the interval {interval_words(judged.gate_interval)}")
        if judged.reason is not None:
            told.append(judged.reason)
    return ", ".join(told)
