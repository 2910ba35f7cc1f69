"""Reading JSON documents and checking them against a JSON Schema, with errors of one line."""
import gc
import json
import math
import re
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError, best_match

from spawnpool.errors import UsageError

Json = dict[str, Any]


def read_json(path: Path) -> Any:
    """Parses a file of strict JSON (no NaN, no Infinity). UsageError when that cannot be done."""
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # JSONDecodeError and UnicodeDecodeError as well
        raise UsageError(f"{path} is not JSON: {error}") from error


def parse_json(text: str) -> Any:
    """Parses strict JSON; every number is finite. ValueError or RecursionError when it is none."""

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is no JSON number")

    def finite(digits: str) -> float:
        number = float(digits)
        if math.isinf(number):
            raise ValueError(f"{digits} is beyond every number")
        return number

    def integer(digits: str) -> int:
        if len(digits) > 300:  # no double
            finite(digits)
        return int(digits)

    # What is parsed is no garbage: looking through it for cycles takes a third of the time of large ones.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return json.loads(text, parse_constant=refuse, parse_float=finite, parse_int=integer)
    finally:
        if collecting:
            gc.enable()


def load_schema(path: Path) -> Json:
    """Reads a schema of the project, which is valid itself."""
    schema: Json = read_json(path)
    Draft7Validator.check_schema(schema)
    return schema


def complaint(validator: Draft7Validator, document: Any, place: str = "") -> str | None:
    """What is wrong with a document and where ("targets[0].model: ..."), or None. `place` is where the
    document itself lies in a larger one."""
    error = best_match(validator.iter_errors(document))
    return None if error is None else f"{_where(error, place)}: {_what(error)}"


def _where(error: ValidationError, place: str) -> str:
    path = place
    for step in error.absolute_path:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    return path.lstrip(".") or "top level"


def _what(error: ValidationError) -> str:
    text = re.sub(r"\s+", " ", str(error.message))
    wanted = error.schema.get("description") if isinstance(error.schema, dict) else None
    if str(error.validator) == "pattern" and wanted is not None:
        text = f"{error.instance!r} does not match, wanted: {wanted}"
    return text if len(text) <= 200 else text[:120] + " ... " + text[-75:]
