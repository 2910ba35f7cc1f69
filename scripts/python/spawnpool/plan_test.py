from collections import Counter

from spawnpool.documents import Json
from spawnpool.plan import PlannedTrial, draw_plan, planned_points, trial_key, trial_round


def _suite(targets: str, blocks: int) -> Json:
    return {
        "targets": [{"name": name} for name in targets],
        "scenarios": [
            {"name": "one", "points": [{"connections": 1}, {"connections": 2}]},
            {"name": "two", "points": [{"connections": 1}]},
        ],
        "blocks": blocks,
    }


def _visits(plan: list[PlannedTrial], targets: int) -> list[str]:
    """The order of targets at each scenario and point of each block: "ABBA", ..."""
    size = 2 * targets
    return [
        "".join(trial.target for trial in plan[start : start + size])
        for start in range(0, len(plan), size)
    ]


def test_two_targets_run_as_abba_or_baab() -> None:
    plan = draw_plan(_suite("AB", 40), seed=1)
    visits = Counter(_visits(plan, 2))
    assert set(visits) == {"ABBA", "BAAB"}
    assert min(visits.values()) > 30  # of 120: drawn, not fixed


def test_any_number_of_targets_is_balanced_within_a_block() -> None:
    plan = draw_plan(_suite("ABCD", 5), seed=2)
    visits = _visits(plan, 4)
    assert len(visits) == 5 * 3
    assert len(set(visits)) > 3
    for visit in visits:
        assert visit == visit[::-1] and sorted(visit[:4]) == list("ABCD")
        # Everyone's mean position is the same: a steady drift favours none.
        assert {visit.index(name) + visit.rindex(name) for name in "ABCD"} == {7}


def test_the_seed_alone_decides() -> None:
    suite = _suite("AB", 10)
    assert draw_plan(suite, 7) == draw_plan(suite, 7)
    assert draw_plan(suite, 7) != draw_plan(suite, 8)


def test_every_point_gets_two_pairs_of_neighbours_per_block() -> None:
    plan = draw_plan(_suite("AB", 3), seed=3)
    rounds: dict[tuple[object, ...], list[int]] = {}
    for index, planned in enumerate(plan):
        where = (planned.scenario, str(planned.point), trial_round(planned.to_json(), 2))
        rounds.setdefault(where, []).append(index)
    assert len(rounds) == 3 * 3 * 2
    for first, second in rounds.values():
        assert second == first + 1
        assert plan[first].target != plan[second].target


def test_keys_name_each_trial_once() -> None:
    plan = draw_plan(_suite("ABC", 4), seed=4)
    assert len({trial_key(planned.to_json()) for planned in plan}) == len(plan) == 4 * 3 * 6


def test_points_are_told_as_planned() -> None:
    planned = [
        {"scenario": "one", "point": {"rate_fraction": 0.1, "rate": 5}},
        {"scenario": "two", "point": {"connections": 1}},
        {"scenario": "one", "point": {"connections": 1}},
        {"scenario": "one", "point": {"rate_fraction": 0.1, "rate": 5}},
    ]
    assert planned_points(planned, "one") == [
        {"rate_fraction": 0.1, "rate": 5},
        {"connections": 1},
    ]


def test_one_target_runs_without_pairs() -> None:
    assert _visits(draw_plan(_suite("A", 2), seed=5), 1) == ["AA"] * 6
