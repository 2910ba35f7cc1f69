from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from spawnpool.documents import read_json
from spawnpool.paths import RESULTS, SUITES
from spawnpool.schema import Schema

SCHEMAS = [*RESULTS.glob("*schema.json"), *SUITES.glob("*schema.json")]


@pytest.mark.parametrize("path", SCHEMAS, ids=str)
def test_the_schemas_of_the_project_are_valid(path: Path) -> None:
    Draft7Validator.check_schema(read_json(path))


def test_there_are_schemas() -> None:
    assert len(SCHEMAS) >= 6


def test_a_complaint_tells_place_and_fault() -> None:
    schema = Schema(
        {"properties": {"a": {"items": {"type": "string", "pattern": "^x", "description": "an x"}}}}
    )
    assert schema.complaint({"a": ["x", "xy"]}) is None
    assert schema.complaint({"a": ["x", 5]}) == "a[1]: 5 does not match, wanted: an x"
    assert schema.complaint({"a": ["y"]}, "in.it") == "in.it.a[0]: 'y' does not match, wanted: an x"
    assert Schema(False).complaint(5) == "top level: False schema does not allow 5"
    assert Schema({"type": "string"}).complaint(5, "b") == "b: 5 is not of type 'string'"
    assert Schema({"minimum": 6}).complaint(5, "b") == "b: 5 is less than the minimum of 6"
    long = Schema({"enum": ["z" * 400]}).complaint(5)
    assert long is not None and len(long) < 230 and " ... " in long
