import pytest

from spawnpool.documents import Json
from spawnpool.errors import UsageError
from spawnpool.estimate import ALLOCATIONS, CONNECTION, INSTRUCTIONS, MICRO, SYSTEM_CALLS, TRIAL
from spawnpool.estimate import block_seconds, calibration_seconds, cut_words, expected_seconds
from spawnpool.estimate import fitting_blocks, readable
from spawnpool.suite import load_suite

LOAD = 1.3  # warm-up and window of the shipped suites


def _quick(**changes: object) -> Json:
    return {**load_suite("quick"), **changes}


def test_a_trial_takes_its_load_and_what_it_does_beside() -> None:
    # Per block 4 trials at each of 16, 64 and 16 connections.
    first, other = block_seconds(_quick(accounting=None))
    assert first == other == pytest.approx(12 * (LOAD + TRIAL) + 4 * 96 * CONNECTION)
    assert block_seconds(_quick())[1] - other == pytest.approx(12 * ALLOCATIONS)
    counted = {"connections": 2, "requests_per_connection": 2, "perf": True}
    again = block_seconds(_quick(accounting=counted))[1] - block_seconds(_quick())[1]
    assert again == pytest.approx(other), "the load once more"


def test_what_is_counted_once_is_in_the_first_block_alone() -> None:
    counted = {
        "connections": 2,
        "requests_per_connection": 2,
        "syscalls": True,
        "instructions": True,
    }
    first, other = block_seconds(_quick(accounting=counted))
    assert first - other == pytest.approx(6 * (SYSTEM_CALLS + INSTRUCTIONS))


def test_background_clients_take_their_time() -> None:
    suite = load_suite("idle")
    most = suite["scenarios"][0]["points"][-1]
    more = {**most, "background": {"idle": most["background"]["idle"] + 10_000}}
    scenario = {**suite["scenarios"][0], "points": [most]}
    before = block_seconds({**suite, "scenarios": [scenario]})[0]
    after = block_seconds({**suite, "scenarios": [{**scenario, "points": [more]}]})[0]
    trials = 2 * len(suite["targets"])
    assert after - before == pytest.approx(trials * 10_000 * CONNECTION)


def test_calibration_and_micro_benchmarks_are_in_the_whole() -> None:
    sweep = load_suite("rate-sweep")
    assert calibration_seconds(_quick()) == 0
    assert calibration_seconds(sweep) == pytest.approx(6 * (LOAD + TRIAL + 64 * CONNECTION))
    micro = {"filter": "x", "min_time": "100ms", "repetitions": 5}
    without = expected_seconds(sweep, 0)
    assert without == pytest.approx(calibration_seconds(sweep) + 3 * block_seconds(sweep)[0])
    assert expected_seconds({**sweep, "micro": micro}, 4) - without == pytest.approx(2 * MICRO)


def test_as_many_blocks_as_fit_into_the_budget() -> None:
    suite = _quick(blocks=10)
    first, other = block_seconds(suite)
    assert fitting_blocks(suite, 0) == 10
    for blocks in (1, 2, 9, 10):
        enough = first + (blocks - 1) * other
        budget = {"budget": f"{int(1000 * enough) + 1}ms"}
        assert fitting_blocks({**suite, **budget}, 0) == blocks
        assert expected_seconds({**suite, "blocks": blocks}, 0) == pytest.approx(enough)
    assert fitting_blocks({**suite, "budget": "1h"}, 0) == 10
    words = "not one block fits into the budget of 17s: it takes 18 s; give more, or measure less"
    with pytest.raises(UsageError, match=words):
        fitting_blocks({**suite, "budget": "17s"}, 0)


def test_what_was_cut_is_said_in_a_line() -> None:
    suite = _quick(budget="1m", blocks=4)
    assert cut_words(suite, 9) == "4 of 9 blocks fit into the budget of 1m: 8 pairs"
    assert cut_words({**suite, "blocks": 2}, 9).endswith(": 4 pairs, too few for an interval")


@pytest.mark.parametrize(
    "duration, words",
    [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (571, "9 min 31 s"), (4800, "1 h 20 min")],
)
def test_durations_for_people(duration: float, words: str) -> None:
    assert readable(duration) == words


@pytest.mark.parametrize("name, promised", [("quick", 90), ("tuning", 180), ("ci", 600)])
def test_the_suites_that_promise_a_time_keep_it(name: str, promised: float) -> None:
    assert expected_seconds(load_suite(name), 0) <= promised
