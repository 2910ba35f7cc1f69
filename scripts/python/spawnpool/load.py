"""The load of a trial: what a scenario and one of its points ask for together."""
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from spawnpool.documents import Json
from spawnpool.durations import seconds

# What makes a load, in the order in which titles name it. A point has its own, the scenario what is
# the same at all of them.
LOAD_KEYS = (
    "connections",
    "requests_per_connection",
    "pipeline",
    "think_time",
    "rate",
    "rate_fraction",
    "arrivals",
    "burst",
    "background",
    "shutdown_after",
)
ARRIVAL_KEYS = ("rate", "rate_fraction", "burst")  # each makes an open loop
WRK_KEYS = ("connections", "requests_per_connection")
LONGEST_TIMEOUT_S = 60


def load_of(scenario: Json, point: Json) -> Json:
    """The load keys of a scenario with those of the point merged over them, as RFC 7386 merges."""
    own = {key: value for key, value in scenario.items() if key in LOAD_KEYS}
    merged: Json = _merged(own, point)
    return merged


def _merged(base: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = dict(base) if isinstance(base, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return result


def contradiction(load: Json, driver: str, window: str) -> str | None:
    """What is wrong with a load for this driver and a window this long (a duration), or None."""
    if "connections" not in load:
        return "connections: is missing here and in the scenario"
    arrivals = [key for key in ARRIVAL_KEYS if key in load]
    per_connection, pipeline = load["requests_per_connection"], load.get("pipeline", 1)
    background = load.get("background", {})
    if driver == "wrk":
        for key in load:
            if key not in WRK_KEYS:
                return f"{key}: the driver wrk has no such load; take the driver builtin"
        if per_connection > 1:
            return (
                "requests_per_connection: the driver wrk keeps connections (0) or takes one for each "
                f"request (1), not {per_connection}; take the driver builtin"
            )
    if len(arrivals) > 1:
        return f"{arrivals[1]}: contradicts {arrivals[0]}: give one of {', '.join(ARRIVAL_KEYS)}"
    if "arrivals" in load and arrivals in ([], ["burst"]):
        return "arrivals: says how a rate is spread: give rate or rate_fraction with it"
    if "think_time" in load and arrivals:
        return f"think_time: contradicts {arrivals[0]}: in open loop nobody waits to think"
    if 0 < per_connection < pipeline:
        return (
            f"pipeline: {pipeline} requests under way at once do not fit the "
            f"{per_connection} of a connection (requests_per_connection)"
        )
    slow = background.get("slow_senders", 0) + background.get("slow_readers", 0)
    if slow > 0 and "bytes_per_second" not in background:
        return "background: slow clients need their bytes_per_second"
    if "burst" in load and seconds(load["burst"]["every"]) > seconds(window):
        return f"burst: one every {load['burst']['every']} is none in a window of {window}"
    if "shutdown_after" in load and seconds(load["shutdown_after"]) >= seconds(window):
        return f"shutdown_after: {load['shutdown_after']} is not within the window of {window}"
    return None


def timeout_contradiction(timeout: str, driver: str) -> str | None:
    """What is wrong with a time-out of requests for this driver, or None."""
    length = seconds(timeout)
    if driver == "wrk" and (length < 1 or length != int(length)):
        return f"timeout: the driver wrk takes whole seconds, not {timeout}"
    if not 0.001 <= length <= LONGEST_TIMEOUT_S:
        return f"timeout: {timeout} is not within 1ms and 1m"
    return None


def point_title(scenario: str, point: Json) -> str:
    """How a scenario at a point is called: "keep-alive, connections 16", "sweep, rate 50 %"."""
    return ", ".join([scenario, *load_words(point)])


def load_words(load: Json) -> list[str]:
    """What a load, or the part of it that a point varies, asks for; a phrase for each key."""
    words = []
    for key in LOAD_KEYS:
        if key in load and not (key == "rate" and "rate_fraction" in load):
            words += _words(key, load[key])
    return words


def _words(key: str, value: Any) -> list[str]:
    if key == "rate":
        return [f"rate {value:,.6g}/s"]
    if key == "rate_fraction":
        return [f"rate {100 * value:.4g} %"]
    if key == "burst":
        return [f"bursts of {value['size']:,} every {value['every']}"]
    if key == "background":
        rate = value.get("bytes_per_second")
        pace = "" if rate is None else f" at {rate:,} bytes/s"
        kinds = [kind for kind in ("idle", "slow_senders", "slow_readers") if kind in value]
        return [
            f"{kind.replace('_', ' ')} {value[kind]:,}" + (pace if kind != "idle" else "")
            for kind in kinds
        ]
    shown = f"{value:,}" if isinstance(value, int) else str(value)
    return [f"{key.replace('_', ' ')} {shown}"]


def point_name(point: Json) -> str:
    """What a point is called where other runs are to have the same name for it: KEY:VALUE, joined by
    slashes, such as "connections:16/rate_fraction:0.5". In ASCII; what is odd is percent-encoded.

    A rate that came of a fraction is left out: it is another in each run."""
    own = {k: v for k, v in point.items() if not (k == "rate" and "rate_fraction" in point)}
    return "/".join(
        f"{quote(key, safe='')}:{quote(str(value), safe='')}" for key, value in _leaves(own)
    )


def _leaves(tree: Json, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves below their dotted paths, in the order of these."""
    for key, value in sorted(tree.items()):
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
