"""The order of a run's trials, drawn from its seed.

A block visits every scenario and point once. There the targets run in a drawn order and then in the
reverse of it: AB BA or BA AB with two targets, ABC CBA (or another order) with three. Each half is
a round: every two targets of one round make a pair. So a block gives two pairs per point, and a
machine that drifts steadily favours no target within it.
"""
import json
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from spawnpool.documents import Json

PAIRS_PER_BLOCK = 2


@dataclass(frozen=True)
class PlannedTrial:
    """One trial to run; `position` counts from 0 within the block at its scenario and point."""

    scenario: str
    point: Json
    target: str
    block: int
    position: int

    def to_json(self) -> Json:
        return asdict(self)


def draw_plan(suite: Json, seed: int) -> list[PlannedTrial]:
    """Every trial of the suite in the order to run them; the same for the same suite and seed."""
    draw = random.Random(seed)
    plan = []
    for block in range(suite["blocks"]):
        for scenario in suite["scenarios"]:
            for point in scenario["points"]:
                order = [target["name"] for target in suite["targets"]]
                draw.shuffle(order)
                for position, target in enumerate(order + order[::-1]):
                    plan.append(PlannedTrial(scenario["name"], point, target, block, position))
    return plan


def planned_points(planned: list[Json], scenario: str) -> list[Json]:
    """The points of a scenario as its planned trials have them, in the order of their first visit."""
    points: list[Json] = []
    for trial in planned:
        if trial["scenario"] == scenario and trial["point"] not in points:
            points.append(trial["point"])
    return points


_encode = json.JSONEncoder(sort_keys=True).encode  # json.dumps would make one each time


def trial_key(trial: Mapping[str, Any]) -> str:
    """Names a trial within a run, the same for a planned trial (as JSON) and for its result."""
    parts = [trial[name] for name in ("scenario", "point", "target", "block", "position")]
    return _encode(parts)


def trial_round(trial: Mapping[str, Any], targets: int) -> tuple[int, int]:
    """The round a trial belongs to: trials of one round, scenario and point make pairs."""
    return trial["block"], trial["position"] // targets
