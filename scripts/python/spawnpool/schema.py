"""Checking documents against a JSON Schema, with complaints of one line."""
import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spawnpool.documents import read_json

if TYPE_CHECKING:
    from jsonschema import Draft7Validator
    from jsonschema.exceptions import ValidationError


class Schema:
    """A schema of draft 7, which is valid itself (schema_test.py). jsonschema is loaded by the first check:
    it takes a twentieth of a second, which many a command need not wait for."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema

    @classmethod
    def read(cls, path: Path) -> "Schema":
        """The schema in a file. UsageError when it cannot be read."""
        return cls(read_json(path))

    @cached_property
    def _validator(self) -> "Draft7Validator":
        from jsonschema import Draft7Validator

        return Draft7Validator(self._schema)

    def complaint(self, document: Any, place: str = "") -> str | None:
        """What is wrong with a document and where ("targets[0].model: ..."), or None. `place` is where the
        document itself lies in a larger one."""
        from jsonschema.exceptions import best_match

        error = best_match(self._validator.iter_errors(document))
        return None if error is None else f"{_where(error, place)}: {_what(error)}"


def _where(error: "ValidationError", place: str) -> str:
    path = place
    for step in error.absolute_path:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    return path.lstrip(".") or "top level"


def _what(error: "ValidationError") -> str:
    text = re.sub(r"\s+", " ", str(error.message))
    asked = error.schema if isinstance(error.schema, dict) else {}
    # What describes a pattern says what is wanted of any other type, too: 2 is no duration either.
    if str(error.validator) in ("pattern", "type") and {"pattern", "description"} <= asked.keys():
        text = f"{error.instance!r} does not match, wanted: {asked['description']}"
    return text if len(text) <= 200 else text[:120] + " ... " + text[-75:]
