"""Reading JSON documents, with errors of one line."""
import gc
import json
import math
from pathlib import Path
from typing import Any

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
        raise UsageError(f"{path} is not JSON: {error}; give a file that is whole") from error


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
