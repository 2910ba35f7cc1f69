"""Calibration: the saturation of the targets, of which a `rate_fraction` is a fraction.

Before its trials a run measures, for every scenario with rate fractions, each target in a closed
loop with the scenario's connections. A target's saturation is the median of these trials. The lowest
of the targets' saturations is the rate that the fractions are of: every target is offered the same.
"""
import json
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace

from spawnpool.documents import Json
from spawnpool.load import LOAD_KEYS, load_of, load_words
from spawnpool.plan import PlannedTrial

ROUNDS = 3  # trials of each target: the median forgives one that was disturbed
# What a closed loop's saturation depends on. Background clients are left out: fractions of the same
# rate show what they cost.
SHAPE = ("connections", "requests_per_connection", "pipeline")


@dataclass(frozen=True)
class Saturation:
    """The saturation of each target in requests/s, None where no calibration trial is valid."""

    scenario: str
    point: Json
    targets: dict[str, float | None]

    @property
    def lowest(self) -> float | None:
        """What a rate fraction of 1 stands for; None when no target's saturation is known."""
        known = [rate for rate in self.targets.values() if rate is not None]
        return min(known) if known else None

    def describe(self) -> str:
        """A line for people."""
        rates = ", ".join(
            f"{name} {'not known' if rate is None else f'{rate:,.0f}'}"
            for name, rate in self.targets.items()
        )
        where = ", ".join([self.scenario, *load_words(self.point)])
        return f"{where}: saturation in closed loop, requests/s: {rates}; rates are fractions of the lowest"


def calibration_plan(suite: Json) -> list[PlannedTrial]:
    """The calibration trials of a suite, in their order; each round takes the targets in the reverse
    order of the one before, so that a steady drift favours none. Empty without rate fractions."""
    names = [target["name"] for target in suite["targets"]]
    return [
        PlannedTrial(scenario, point, name, block, position)
        for scenario, point in _saturations_wanted(suite)
        for block in range(ROUNDS)
        for position, name in enumerate(names if block % 2 == 0 else names[::-1])
    ]


def _saturations_wanted(suite: Json) -> Iterator[tuple[str, Json]]:
    for scenario in suite["scenarios"]:
        seen: list[Json] = []
        for point in scenario["points"]:
            shape = calibration_point(scenario, point)
            if shape is not None and shape not in seen:
                seen.append(shape)
                yield scenario["name"], shape


def calibration_point(scenario: Json, point: Json) -> Json | None:
    """The point at which a point's saturation is measured; None when its rate is no fraction."""
    load = load_of(scenario, point)
    if "rate_fraction" not in load:
        return None
    return {key: load[key] for key in SHAPE if key == "connections" or key in point}


def calibration_suite(suite: Json) -> Json:
    """The suite whose trials are the calibration's: closed loop, and nothing beside the load."""
    beside = set(LOAD_KEYS) - set(SHAPE)
    scenarios = [
        {key: value for key, value in scenario.items() if key not in beside}
        for scenario in suite["scenarios"]
    ]
    return {**suite, "scenarios": scenarios, "accounting": None}


def saturations(suite: Json, trials: list[Json]) -> list[Saturation]:
    """What the calibration trials tell; only valid ones count."""
    found = []
    for scenario, point in _saturations_wanted(suite):
        targets: dict[str, float | None] = {}
        for target in suite["targets"]:
            rates = [
                trial["load"]["throughput_rps"]
                for trial in trials
                if (trial["scenario"], trial["point"]) == (scenario, point)
                and (trial["target"], trial["status"]) == (target["name"], "valid")
            ]
            targets[target["name"]] = statistics.median(rates) if rates else None
        found.append(Saturation(scenario, point, targets))
    return found


def resolved(suite: Json, plan: list[PlannedTrial], trials: list[Json]) -> list[PlannedTrial]:
    """The plan with the rate of every fraction in its point, beside the fraction. A point whose
    saturation nobody knows stays without a rate."""
    lowest = {
        (it.scenario, json.dumps(it.point, sort_keys=True)): it.lowest
        for it in saturations(suite, trials)
    }
    scenarios = {scenario["name"]: scenario for scenario in suite["scenarios"]}
    result = []
    for planned in plan:
        scenario = scenarios[planned.scenario]
        shape = calibration_point(scenario, planned.point)
        if shape is not None:
            rate = lowest[planned.scenario, json.dumps(shape, sort_keys=True)]
            if rate is not None:
                fraction = load_of(scenario, planned.point)["rate_fraction"]
                point = {**planned.point, "rate_fraction": fraction}
                planned = replace(planned, point={**point, "rate": round(fraction * rate, 1)})
        result.append(planned)
    return result
