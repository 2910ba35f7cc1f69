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
    """Parses a file of strict JSON (no NaN, no Infinity) as parse_json() does. UsageError when that cannot
    be done."""
    return parse_content(path, read_content(path))


def read_content(path: Path) -> bytes:
    """The bytes of a file. UsageError when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def parse_content(path: Path, content: bytes, finite: bool = True) -> Any:
    """Parses what was read from a file, as parse_json() does. UsageError when that cannot be done."""
    try:
        return parse_json(content.decode(), finite)
    except (ValueError, RecursionError) as error:  # JSONDecodeError and UnicodeDecodeError as well
        raise UsageError(f"{path} is not JSON: {error}") from error


def parse_json(text: str, finite: bool = True) -> Any:
    """Parses strict JSON; every number is finite. ValueError or RecursionError when it is none.

    Looking at each number takes a sixth of the time of large ones: with `finite` False a number may be
    beyond every double (1e999 is infinite then), for a caller who checks what he has read."""
    # What is parsed is no garbage, now or later: looking through it for cycles takes a third of the time
    # of large ones.
    collecting = gc.isenabled()
    gc.disable()
    try:
        if not finite:
            return json.loads(text, parse_constant=_refuse)
        return json.loads(text, parse_constant=_refuse, parse_float=_float, parse_int=_integer)
    finally:
        gc.freeze()
        if collecting:
            gc.enable()


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON number")


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits} is beyond every number")
    return number


def _integer(digits: str) -> int:
    if len(digits) > 300:  # no double
        _float(digits)
    return int(digits)


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
