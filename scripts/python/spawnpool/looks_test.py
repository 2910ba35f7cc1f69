import copy
from collections.abc import Mapping

import numpy
import pytest

from spawnpool.documents import Json
from spawnpool.errors import UsageError
from spawnpool.looks import check_looks, declared_looks, resolved, up_to
from spawnpool.results import ResultSchema
from spawnpool.statistics import Pairs
from spawnpool.suite import load_suite
from spawnpool.testing import example_result, fail
from spawnpool.verdicts import GATE_ALPHA, Noisy, decide, evidence

APART = {"thread-per-connection": 100_000.0, "worker-pool": 200_000.0}
ALIKE = {"thread-per-connection": 150_000.0, "worker-pool": 157_000.0}


@pytest.mark.parametrize(
    "first, most, looks",
    [(3, 9, [3, 6, 9]), (3, 10, [3, 6, 9, 10]), (3, 3, [3]), (3, 2, [2]), (1, 3, [1, 2, 3])],
)
def test_looks_are_multiples_of_the_first_and_the_end(
    first: int, most: int, looks: list[int]
) -> None:
    assert declared_looks(first, most) == looks


def test_no_way_to_run_until_resolved_is_one_line() -> None:
    suite = load_suite("quick")
    check_looks({**suite, "until_resolved": 3})
    with pytest.raises(
        UsageError, match="--until-resolved 2: fewer than the 3 blocks of the first"
    ):
        check_looks({**suite, "until_resolved": 2})
    with pytest.raises(UsageError, match="two targets or more"):
        check_looks({**suite, "until_resolved": 9, "targets": suite["targets"][:1]})


def _looked_at(rates: Mapping[str, float], blocks: int, looks: list[int]) -> Json:
    result = example_result(rates, blocks=blocks)
    result["suite"]["looks"] = looks
    return result


def test_the_result_of_the_first_blocks_is_a_whole_one() -> None:
    result = _looked_at(APART, 6, [3, 6])
    before = copy.deepcopy(result)
    first = up_to(result, 3)
    assert result == before
    ResultSchema().check_document(first)
    assert {trial["block"] for trial in first["trials"]} == {0, 1, 2}
    assert len(first["trials"]) == len(first["suite"]["planned"]) == 36
    assert first["suite"]["pairs"] == 6 and first["suite"]["looks"] == [3, 6]


def test_far_apart_is_resolved_when_there_are_pairs_enough_and_not_before() -> None:
    result = _looked_at(APART, 12, [3, 6, 9, 12])
    assert [resolved(result, blocks) for blocks in (3, 6, 9)] == [False, True, True]


def test_near_the_margin_is_not_resolved() -> None:
    assert not resolved(_looked_at(ALIKE, 6, [3, 6]), 6)


def test_faults_of_the_data_resolve_nothing() -> None:
    result = _looked_at(APART, 12, [12])
    assert resolved(result, 12)
    for trial in result["trials"]:
        if trial["scenario"] == "churn" and trial["target"] == "worker-pool":
            fail(trial, "error-share", "too many errors")
    assert not resolved(result, 12)


def test_intervals_of_more_looks_are_wider() -> None:
    def throughput(looks: list[int]) -> Json:
        entry = up_to(_looked_at(ALIKE, 12, looks), 12)["summary"][0]["comparisons"][0]
        found: Json = entry["ratios"]["load.throughput_rps"]
        return found

    once, often = throughput([12]), throughput([3, 6, 9, 12])
    assert often["interval"][0] < once["interval"][0] < once["interval"][1] < often["interval"][1]
    assert once["coverage"] >= 0.95 and often["coverage"] >= 0.9875


def test_looking_often_finds_no_more_than_looking_once() -> None:
    runs, questions, looks = 4000, 2, [20, 40, 60, 80, 100]
    logs = numpy.random.default_rng(1).normal(0.0, 0.3, (runs, questions, looks[-1]))

    def wrong(share: int) -> float:
        found = numpy.zeros(runs, dtype=bool)
        for pairs in looks:
            sample = Pairs(logs[..., :pairs], looks=share)
            verdicts, _ = decide(*evidence(Noisy("higher", 0.0, sample)), GATE_ALPHA)
            found |= (verdicts >= 2).any(axis=-1)
        return float(found.mean())

    assert wrong(len(looks)) <= GATE_ALPHA
    assert wrong(1) > GATE_ALPHA  # what the split is for
