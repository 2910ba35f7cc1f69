"""What a report tells of each trial's circumstances, and of what was not measured."""
from collections.abc import Iterator
from dataclasses import dataclass

from spawnpool.documents import Json
from spawnpool.load import point_title
from spawnpool.metrics import leaf
from spawnpool.table import NOT_KNOWN


@dataclass(frozen=True)
class Condition:
    """A trial and what others took of its cores, as words."""

    trial: str
    target: str
    place: str
    status: str
    foreign: str
    steal: str
    generator: str
    pacing: str


CONDITION_COLUMNS = (
    "trial",
    "target",
    "scenario and point",
    "status",
    "other programs",
    "hypervisor",
    "generator busy",
    "it waits by",
)


def conditions(trials: list[Json]) -> list[Condition]:
    """The cells under CONDITION_COLUMNS, a row for each trial, in the order in which they ran.
    Shares of the cores' time in the window; the generator's of its own time."""
    return [
        Condition(
            str(index),
            trial["target"],
            point_title(trial["scenario"], trial["point"]),
            ", ".join([trial["status"], *(reason["code"] for reason in trial["reasons"])]),
            _percent(leaf(trial, "machine.foreign_cpu_share")),
            _percent(leaf(trial, "machine.steal_share")),
            _percent(leaf(trial, "load.generator.busy_share")),
            leaf(trial, "load.generator.pacing") or NOT_KNOWN,
        )
        for index, trial in enumerate(trials, 1)
    ]


def _percent(share: float | None) -> str:
    return NOT_KNOWN if share is None else f"{100 * share:.1f} %"


@dataclass(frozen=True)
class Unmeasured:
    """Fields that are null for one reason, and the targets (or micro-benchmarks) they are null of."""

    reason: str
    fields: list[str]
    of: list[str]


def unmeasured(result: Json) -> list[Unmeasured]:
    """What is null, in the order of its first field; not of trials that failed, of which all is."""
    fields: dict[tuple[str, str], set[str]] = {}  # (reason, field) -> of whom
    for reason, field, of in _nulls(result):
        fields.setdefault((reason, field), set()).add(of)
    grouped: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (reason, field), who in fields.items():
        grouped.setdefault((reason, tuple(sorted(who))), []).append(field)
    return [Unmeasured(reason, names, list(who)) for (reason, who), names in grouped.items()]


def _nulls(result: Json) -> Iterator[tuple[str, str, str]]:
    for trial in result["trials"]:
        if trial["status"] != "failed":
            for field, reason in trial["unmeasured"].items():
                yield reason, field, trial["target"]
    for entry in result["micro"]:
        for field, reason in entry["unmeasured"].items():
            yield reason, f"micro.{field}", entry["run_name"]
    for field, reason in result["context"]["unmeasured"].items():
        yield reason, f"context.{field}", "the run"
