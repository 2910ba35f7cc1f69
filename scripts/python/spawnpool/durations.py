"""Durations as suites write them."""
import re

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(duration: str) -> float:
    """The length of a duration ("250ms", "10s", "2m"). ValueError for what is none."""
    found = re.fullmatch(r"([0-9]+)(us|ms|s|m|h)", duration)
    if found is None:
        raise ValueError(f"'{duration}' is no duration; write it as 250ms, 10s or 2m")
    return int(found.group(1)) * _UNITS[found.group(2)]
