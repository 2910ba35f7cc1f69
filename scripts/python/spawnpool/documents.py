"""Reading JSON documents and checking them against a JSON Schema, with errors of one line."""
import json
import re
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError, best_match

from spawnpool.errors import UsageError

Json = dict[str, Any]


def read_json(path: Path) -> Any:
    """Parses a file of strict JSON (no NaN, no Infinity). UsageError when that cannot be done."""

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is no JSON number")

    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # JSONDecodeError and UnicodeDecodeError as well
        raise UsageError(f"{path} is not JSON: {error}") from error


def load_schema(path: Path) -> Json:
    """Reads a schema of the project, which is valid itself."""
    schema: Json = read_json(path)
    Draft7Validator.check_schema(schema)
    return schema


def complaint(validator: Draft7Validator, document: Any) -> str | None:
    """What is wrong with a document and where ("targets[0].model: ..."), or None."""
    error = best_match(validator.iter_errors(document))
    return None if error is None else f"{_where(error)}: {_what(error)}"


def _where(error: ValidationError) -> str:
    path = ""
    for step in error.absolute_path:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    return path.lstrip(".") or "top level"


def _what(error: ValidationError) -> str:
    text = re.sub(r"\s+", " ", str(error.message))
    wanted = error.schema.get("description") if isinstance(error.schema, dict) else None
    if str(error.validator) == "pattern" and wanted is not None:
        text = f"{error.instance!r} does not match, wanted: {wanted}"
    return text if len(text) <= 200 else text[:120] + " ... " + text[-75:]
