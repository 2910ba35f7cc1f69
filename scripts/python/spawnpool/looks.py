"""Looks: a run that ends when its verdicts are told has said before when it will look, and pays for it.

Whoever looks at growing data until a difference shows will find one. So the numbers of blocks after which
a run looks are declared with its plan, and the error is split evenly among them (the union bound: C. E.
Bonferroni; O. J. Dunn, J. Amer. Statist. Assoc. 56, 1961): K looks at level alpha / K are wrong in at most
alpha of all runs, however the looks depend on each other. The boundaries of Pocock and of O'Brien and
Fleming would be a little narrower, but are those of sums that are about normal: the signs of a few pairs
are not, and Holm's method beside them is not what they were made for."""
from pathlib import Path

from spawnpool.comparison import within
from spawnpool.documents import Json
from spawnpool.errors import UsageError
from spawnpool.plan import PAIRS_PER_BLOCK
from spawnpool.summary import summarize
from spawnpool.verdicts import Verdict


def declared_looks(first: int, most: int) -> list[int]:
    """The numbers of blocks after which a run looks: the first, its multiples, and the most."""
    return [*range(first, most, first), most]


def check_looks(suite: Json) -> None:
    """UsageError for a suite whose `until_resolved` is no way to run it."""
    most, first = suite["until_resolved"], suite["blocks"]
    if most < first:
        raise UsageError(
            f"--until-resolved {most}: fewer than the {first} blocks of the first look (--blocks)"
        )
    if len(suite["targets"]) < 2:
        raise UsageError("--until-resolved: two targets or more are to be compared")


def resolved(result: Json, blocks: int) -> bool:
    """Whether, after so many blocks, every gated metric has a verdict: better or worse beyond its
    margin, or equivalent."""
    comparison = within(Path(), up_to(result, blocks))
    verdicts = comparison.verdicts()
    told = bool(verdicts) and Verdict.INCONCLUSIVE not in verdicts
    return told and not comparison.faults


def up_to(result: Json, blocks: int) -> Json:
    """The result of the first blocks, as if no more had been planned; the looks stay as declared."""
    suite = {
        **result["suite"],
        "blocks": blocks,
        "pairs": PAIRS_PER_BLOCK * blocks,
        "planned": [planned for planned in result["suite"]["planned"] if planned["block"] < blocks],
    }
    trials = [trial for trial in result["trials"] if trial["block"] < blocks]
    return {**result, "suite": suite, "trials": trials, "summary": summarize(suite, trials)}
