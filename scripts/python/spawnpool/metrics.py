"""The metrics of summaries, tables and pictures."""
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Metric:
    """One leaf of a trial. An exact metric is counted, not timed: it has no interval, and one that
    varies from trial to trial is flagged."""

    path: str
    label: str
    better: str
    exact: bool = False


METRICS = (
    Metric("load.throughput_rps", "throughput, requests/s", "higher"),
    Metric("load.latency_us.p50", "latency p50, µs", "lower"),
    Metric("load.latency_us.p99", "latency p99, µs", "lower"),
    Metric("server.cpu_us_per_request", "CPU time, µs/request", "lower"),
    Metric("server.allocations.per_request", "allocations/request", "lower", exact=True),
    Metric("server.allocations.per_connection", "allocations/connection", "lower", exact=True),
)


def leaf(trial: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path of a trial."""
    value: Any = trial
    for step in path.split("."):
        value = value[step]
    return value
