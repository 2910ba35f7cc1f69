"""Single values of a suite that the command line gives: `--set PATH=VALUE`."""
import copy
import json
from collections.abc import Sequence
from typing import Any

from spawnpool.documents import Json
from spawnpool.errors import UsageError, unknown


def with_settings(suite: Json, settings: Sequence[str]) -> Json:
    """The suite with the value of each setting, PATH=VALUE, in the place of its path; whether it is a
    suite still is for its schema to tell. UsageError for a path that leads nowhere.

    A path's steps are keys, the names of targets and scenarios, and places in other lists from 0:
    `targets.worker-pool.options`, `scenarios.churn.points.0.connections`. A value is JSON; words that
    are none, such as 2s, are a string."""
    changed = copy.deepcopy(suite)
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals or not path:
            raise UsageError(f"--set {setting}: write it as PATH=VALUE, such as duration=2s")
        try:
            _put(changed, path, _value(text))
        except UsageError as error:
            raise UsageError(f"--set {path}: {error}") from error
    return changed


def _value(text: str) -> Any:
    def refuse(constant: str) -> Any:
        raise UsageError(f"{constant} is no JSON number")

    try:
        return json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        if text[:1] in ("[", "{", '"'):
            raise UsageError(f"{text} is not JSON: {error}") from error
        return text


def _put(node: Any, path: str, value: Any) -> None:
    """Follows the path from here; what is not there on the way becomes an object."""
    key, rest = _step(node, path)
    if rest == "":
        node[key] = value
    elif isinstance(node, dict):
        _put(node.setdefault(key, {}), rest, value)
    else:
        _put(node[key], rest, value)


def _step(node: Any, path: str) -> tuple[Any, str]:
    """The first step of a path, as key or index of what is here, and the path from there on."""
    first, _, rest = path.partition(".")
    if isinstance(node, dict):
        return first, rest
    if not isinstance(node, list):
        raise UsageError(f"there is nothing within {json.dumps(node)}: set the whole")
    if all(isinstance(item, dict) and "name" in item for item in node) and node:
        # A name may have dots: the longest that fits.
        for index, name in sorted(enumerate(i["name"] for i in node), key=lambda it: -len(it[1])):
            if path == name or path.startswith(f"{name}."):
                return index, path[len(name) + 1 :]
        raise unknown("name", first, [item["name"] for item in node])
    if not first.isascii() or not first.isdigit() or int(first) >= len(node):
        raise UsageError(f"'{first}' is no place in a list of {len(node)}: they count from 0")
    return int(first), rest
