import copy
import random
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft7Validator

from spawnpool import shapes
from spawnpool.documents import Json, read_json
from spawnpool.paths import RESULTS
from spawnpool.schema import Schema
from spawnpool.shapes import Shapes
from spawnpool.testing import example_result

SCHEMA = read_json(RESULTS / "schema.json")
VALUES: list[Any] = [
    None,
    True,
    -1,
    -0.5,
    0,
    0.0,
    0.5,
    1,
    1.0,
    2,
    3,
    1e6,
    1e6 + 0.5,
    "",
    "valid",
    "worker-pool",
    "<b>",
    "x" * 65,
    "2026-01-01T00:00:00.000Z",
    [],
    [0],
    [1.5],
    [-1],
    ["a"],
    [None],
    {},
    {"reason": "x"},
    {"x": 1},
]


def _places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where in a document there is something; of long lists the first."""
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from _places(value[key], (*path, key))
    elif isinstance(value, list) and value:
        yield from _places(value[0], (*path, 0))


def _put(document: Any, path: tuple[str | int, ...], value: Any) -> None:
    for step in path[:-1]:
        document = document[step]
    document[path[-1]] = value


def test_any_change_is_judged_as_jsonschema_judges_it() -> None:
    result = example_result(blocks=1)
    for part in ("trials", "calibration", "summary"):
        result[part] = result[part][:2]
    checker, referee = Shapes(SCHEMA), Draft7Validator(SCHEMA)
    assert checker.complaint(result) is None
    draw = random.Random(1)
    places = list(_places(result))[1:]
    verdicts = set()
    for path in draw.sample(places, 120):
        changed = copy.deepcopy(result)
        _put(changed, path, copy.deepcopy(draw.choice(VALUES)))
        valid = referee.is_valid(changed)
        verdicts.add(valid)
        assert (checker.complaint(changed) is None) == valid, path
    assert verdicts == {True, False}


def test_a_fault_among_many_that_look_alike_is_found_with_its_place() -> None:
    result = example_result(blocks=10)
    checker = Shapes(SCHEMA)
    assert checker.complaint(result) is None
    result["trials"][77]["load"]["latency_us"]["p99"] = -3
    found = checker.complaint(result)
    assert found == "trials[77].load.latency_us.p99: -3 is less than the minimum of 0"
    assert checker.complaint(result) == found


def test_what_looks_alike_is_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = 0

    class Counted(Schema):
        def complaint(self, document: Any, place: str = "") -> str | None:
            nonlocal judged
            judged += 1
            return super().complaint(document, place)

    monkeypatch.setattr(shapes, "Schema", Counted)
    result = example_result(blocks=1)
    checker = Shapes(SCHEMA)
    assert checker.complaint(result) is None
    first, judged = judged, 0
    planned = result["suite"]["planned"]
    many = {**result, "trials": result["trials"] * 100}
    many["suite"] = {**result["suite"], "planned": planned * 100}
    assert checker.complaint(many) is None
    assert judged < 50 < first  # not the 1,200 trials: what a document and its lists are


@pytest.mark.parametrize("value", [float("inf"), 1e308, -1e200, 1e-300, 10**200])
def test_no_number_is_out_of_this_world(value: float) -> None:
    schema: Json = {"type": "object", "properties": {"a": {"type": "number"}}}
    checker = Shapes(schema)
    for good in (0, 0.0, 1e-9, 3, 1e99, -7.5):
        assert checker.complaint({"a": good, "b": [1, good]}) is None
    for place, bad in (("a", {"a": value}), ("b[1]", {"a": 1, "b": [1, value]})):
        if place == "a" or abs(value) > 1:
            told = checker.complaint(bad)
            assert told == f"{place}: {repr(value)[:30]} is no number that could have been measured"


def test_a_shape_tells_bounds_kinds_and_lengths() -> None:
    schema: Json = {
        "type": "object",
        "additionalProperties": {"$ref": "#/definitions/few"},
        "definitions": {
            "few": {
                "type": "array",
                "maxItems": 3,
                "items": {
                    "type": ["integer", "string"],
                    "minimum": 2,
                    "pattern": "^a",
                    "maxLength": 2,
                },
            }
        },
    }
    checker = Shapes(schema)
    for good in ([], [2], [2.0, 3], [7, 8, 9], ["a", "ab"], [2, "a"]):
        assert checker.complaint({"x": good, "y": [5]}) is None
    for bad in (
        [1],
        [3, 1.5],
        [2, 2.5, 3],
        [2, 3, 4, 5],
        ["a", "b"],
        ["abc"],
        [2, True],
        "a",
        None,
    ):
        assert checker.complaint({"x": [2], "y": bad}) is not None, bad


def test_a_schema_of_more_than_shapes_tell_is_none_for_it() -> None:
    with pytest.raises(ValueError, match="a shape does not tell uniqueItems"):
        Shapes({"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}})


def test_a_rule_adds_to_a_definition() -> None:
    schema: Json = {
        "type": "array",
        "items": {"$ref": "#/definitions/entry"},
        "definitions": {"entry": {"type": "object", "properties": {"a": {"type": "number"}}}},
    }
    asked: list[Json] = []

    def has_a(entry: Json) -> str | None:
        asked.append(entry)
        return None if "a" in entry else "a: is missing"

    checker = Shapes(schema, {"entry": has_a})
    assert checker.complaint([{"a": 10}, {"a": 11}, {"a": 12}]) is None
    assert len(asked) == 1
    assert checker.complaint([{"a": 10}, {"b": 1}]) == "[1].a: is missing"
    assert checker.complaint([{"a": "x"}]) == "[0].a: 'x' is not of type 'number'"
    assert len(asked) == 2  # no rule is asked about what is no entry
