"""The metrics of summaries, tables, pictures and verdicts."""
import difflib
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spawnpool.errors import UsageError, unknown

Trial = Mapping[str, Any]


@dataclass(frozen=True)
class Gate:
    """How a metric is judged where targets are compared.

    `exact`: counted, not timed; two values differ when they are further apart than `margin`, a share
    of the base. `noisy`: sampled; a ratio within 1/(1 + margin) and 1 + margin is no difference that
    matters. `shown`: no verdict, and no margin."""

    kind: str = "shown"
    margin: float | None = None


SHOWN = Gate()


def exact(tolerance: float) -> Gate:
    """A counted metric whose values may be this share apart."""
    return Gate("exact", tolerance)


def noisy(margin: float) -> Gate:
    """A sampled metric with this margin."""
    return Gate("noisy", margin)


@dataclass(frozen=True)
class Metric:
    """One number of a trial: the leaf at `path`, or what `derive` makes of the trial.

    The label is a name and, after a comma, the unit; or both in one, as "allocations/request".
    `better` is None for what only tells the load. `gate` is how it is judged where a suite does not
    say otherwise. An exact metric has no interval, and one that varies from trial to trial is
    flagged. `speed`: a difference is called faster or slower, else better or worse. A situational
    metric is of some loads only: where no trial has it, nothing is said of it. With `shown_if`, the
    path of another metric, it is shown only where that one is not 0 for every target. A detail has
    its row on the report's page, and none on a terminal."""

    path: str
    label: str
    better: str | None
    gate: Gate = SHOWN
    speed: bool = False
    situational: bool = False
    shown_if: str | None = None
    detail: bool = False
    derive: Callable[[Trial], float | None] | None = None

    def value(self, trial: Trial) -> float | None:
        """None where the trial has no such number."""
        found: float | None = self.derive(trial) if self.derive else leaf(trial, self.path)
        return found

    def reason(self, trial: Trial) -> str:
        """Why the value of this trial is None: the reason of the leaf, or of what is above it."""
        steps = self.path.split(".")
        for length in range(len(steps), 0, -1):
            reason = trial["unmeasured"].get(".".join(steps[:length]))
            if reason is not None:
                return str(reason)
        return "it cannot be told from what was measured"

    @property
    def unit(self) -> str:
        """What its value is counted in, such as "requests/s", "µs" or "% of answers"."""
        return self.label.rpartition(", ")[2]

    @property
    def exact(self) -> bool:
        """Whether it is counted, not timed."""
        return self.gate.kind == "exact"

    @property
    def title(self) -> str:
        """The label with an arrow to the better side."""
        arrows = {"higher": " ↑", "lower": " ↓", None: ""}
        return self.label + arrows[self.better]


@functools.cache
def _steps(path: str) -> tuple[str, ...]:
    return tuple(path.split("."))


def leaf(trial: Trial, path: str) -> Any:
    """The value at a dotted path of a trial; None below what is None."""
    value: Any = trial
    for step in _steps(path):
        if value is None:
            return None
        value = value[step]
    return value


def _served(trial: Trial) -> float | None:
    answers, rejected = leaf(trial, "load.requests"), leaf(trial, "load.rejected")
    if None in (answers, rejected, trial["window_s"]) or trial["window_s"] == 0:
        return None
    return float((answers - rejected) / trial["window_s"])


def _percent(part: str, whole: str) -> Callable[[Trial], float | None]:
    def share(trial: Trial) -> float | None:
        parts, all_of = leaf(trial, part), leaf(trial, whole)
        return None if parts is None or not all_of else 100.0 * float(parts) / float(all_of)

    return share


_REJECTED = "load.rejected_percent"
_FAILED = "load.failed_percent"
_DROPPED = "load.dropped_percent"
_UNSENT = "load.unsent_percent"
THROUGHPUT, SERVED = "load.throughput_rps", "load.served_rps"

# Gated by default is what a comparison is about and a noisy machine can tell:
# - throughput and CPU time per request. On a shared two-core machine identical servers were seen to
#   differ by 7 % in throughput from trial to trial: 20 pairs resolve a margin of 5 % there, which
#   a few hundred would have to for 1 %.
# - allocations and system calls, which do not vary. What Go's runtime counts includes a little of its
#   own work (19.011 and 19.010 per request were seen), hence 0.1 %.
# - allocated bytes, of which a percent is a string or two that grew.
# - instructions per request, of which 0.2 % were seen to vary. Those per connection, the rest of a
#   difference, vary by 10 % and are shown.
# Latencies are shown. In a closed loop p50 says again what the throughput says (connections =
# throughput x mean latency), and each further metric takes power from all. Tails differ by a multiple
# between identical servers. An open loop has its throughput given: a suite of one gates p50.
METRICS = (
    Metric("load.offered_rps", "offered rate, requests/s", None, situational=True),
    Metric(THROUGHPUT, "throughput, requests/s", "higher", noisy(0.05), speed=True),
    # An answer of 429 or 503 is quickly given: it makes a throughput, but serves nobody.
    Metric(
        SERVED,
        "throughput without 429 and 503, requests/s",
        "higher",
        speed=True,
        situational=True,
        shown_if=_REJECTED,
        derive=_served,
    ),
    Metric(
        _REJECTED,
        "rejected (429, 503), % of answers",
        "lower",
        situational=True,
        shown_if=_REJECTED,
        derive=_percent("load.rejected", "load.requests"),
    ),
    Metric(
        _FAILED,
        "failed, % of sent requests",
        "lower",
        situational=True,
        shown_if=_FAILED,
        derive=_percent("load.counts.failed", "load.counts.sent"),
    ),
    Metric(
        _DROPPED,
        "dropped, % of arrivals",
        "lower",
        situational=True,
        shown_if=_DROPPED,
        derive=_percent("load.counts.dropped", "load.counts.intended"),
    ),
    Metric(
        _UNSENT,
        "still waiting at the end, % of arrivals",
        "lower",
        situational=True,
        shown_if=_UNSENT,
        derive=_percent("load.counts.unsent", "load.counts.intended"),
    ),
    Metric("load.latency_us.p50", "latency p50, µs", "lower", speed=True),
    Metric("load.latency_us.p99", "latency p99, µs", "lower", speed=True),
    Metric("load.latency_us.p99_9", "latency p99.9, µs", "lower", speed=True),
    Metric("load.wait_us.p99", "wait to be sent p99, µs", "lower", speed=True, situational=True),
    Metric("load.generator.send_lag_us", "generator's send lag p99, µs", None, situational=True),
    Metric(
        "load.generator.cpu_us_per_request", "generator's CPU time, µs/request", None, detail=True
    ),
    Metric(
        "load.generator.busy_share",
        "generator busy, share of its time",
        None,
        situational=True,
        detail=True,
    ),
    Metric("server.cpu_us_per_request", "CPU time, µs/request", "lower", noisy(0.05)),
    Metric(
        "server.cpu_user_us_per_request", "CPU time in user code, µs/request", "lower", detail=True
    ),
    Metric(
        "server.cpu_system_us_per_request",
        "CPU time in the kernel, µs/request",
        "lower",
        detail=True,
    ),
    Metric("server.cpu_utilization", "CPU time, share of its cores", None, detail=True),
    Metric("server.context_switches_per_request", "context switches/request", "lower"),
    Metric(
        "server.voluntary_switches_per_request", "switches to wait/request", "lower", detail=True
    ),
    Metric(
        "server.involuntary_switches_per_request",
        "switches for another thread/request",
        "lower",
        detail=True,
    ),
    Metric(
        "server.run_queue_wait_us_per_request", "wait for a core, µs/request", "lower", detail=True
    ),
    Metric("server.page_faults_per_request", "page faults/request", "lower", detail=True),
    Metric("server.threads_peak", "peak threads", "lower"),
    Metric("server.threads", "threads at the end", None, detail=True),
    Metric("server.threads_started", "started threads", None, situational=True, detail=True),
    Metric("server.rss_peak_bytes", "peak memory, bytes", "lower"),
    Metric("server.rss_bytes", "memory at the end, bytes", "lower", detail=True),
    Metric("server.allocations.per_request", "allocations/request", "lower", exact(0.001)),
    Metric("server.allocations.per_connection", "allocations/connection", "lower", exact(0.001)),
    Metric(
        "server.allocations.bytes_per_request",
        "allocated bytes/request",
        "lower",
        exact(0.01),
        detail=True,
    ),
    Metric(
        "server.allocations.bytes_per_connection",
        "allocated bytes/connection",
        "lower",
        exact(0.01),
        detail=True,
    ),
    Metric(
        "server.allocations.heap_live_bytes",
        "heap in use at the end, bytes",
        "lower",
        situational=True,
        detail=True,
    ),
    Metric(
        "server.allocations.heap_peak_bytes",
        "peak heap in use, bytes",
        "lower",
        situational=True,
        detail=True,
    ),
    Metric(
        "server.allocations.stack_bytes_started",
        "stacks of started threads, bytes",
        "lower",
        situational=True,
        detail=True,
    ),
    Metric(
        "server.syscalls_per_request",
        "system calls/request",
        "lower",
        exact(0.01),
        situational=True,
    ),
    Metric(
        "server.syscalls_per_connection",
        "system calls/connection",
        "lower",
        exact(0.01),
        situational=True,
    ),
    Metric(
        "server.instructions_per_request",
        "instructions/request",
        "lower",
        exact(0.01),
        situational=True,
    ),
    Metric(
        "server.instructions_per_connection",
        "instructions/connection",
        "lower",
        situational=True,
    ),
    Metric("server.migrations_per_request", "migrations/request", "lower", situational=True),
    Metric("server.perf.user_cycles_per_request", "user cycles/request", "lower", situational=True),
    Metric(
        "server.perf.kernel_cycles_per_request",
        "kernel cycles/request",
        "lower",
        situational=True,
    ),
    Metric(
        "server.perf.cache_misses_per_request",
        "cache misses/request",
        "lower",
        situational=True,
    ),
    Metric(
        "shutdown.answered",
        "answered before and after SIGTERM, requests",
        "higher",
        situational=True,
    ),
    Metric("shutdown.refused", "refused after SIGTERM, connections", "lower", situational=True),
    Metric("shutdown.lost", "lost at SIGTERM, requests", "lower", situational=True),
    Metric("shutdown.exit_s", "time to exit, s", "lower", speed=True, situational=True),
    Metric("machine.foreign_cpu_share", "other programs, share of the cores", None, detail=True),
    Metric("machine.steal_share", "hypervisor, share of the cores", None, detail=True),
    Metric("machine.server_idle_share", "server's cores idle, share of time", None, detail=True),
)


def varies(values: Sequence[float], tolerance: float) -> bool:
    """Whether values of an exact metric are further apart than its tolerance allows."""
    low, high = min(values), max(values)
    return high - low > tolerance * max(abs(low), abs(high))


def gates(suite: Mapping[str, Any]) -> dict[str, Gate]:
    """How each metric is judged, by its path: as the suite's `metrics` say, else as catalogued.

    UsageError when they name a metric that there is not, or one twice, or ask for what cannot be.
    """
    found = {metric.path: metric.gate for metric in METRICS}
    asked: set[str] = set()
    for entry in suite.get("metrics", []):
        path, kind, margin = entry["path"], entry["gate"], entry.get("margin")
        if path not in found:
            raise unknown("metric", path, difflib.get_close_matches(path, found, n=3, cutoff=0))
        if path in asked:
            raise UsageError(f"metric '{path}' is there already: name each once")
        asked.add(path)
        (metric,) = (metric for metric in METRICS if metric.path == path)
        if kind == "shown" and margin is not None:
            raise UsageError(f"metric '{path}' is only shown: leave its margin out")
        if kind != "shown" and metric.better is None:
            raise UsageError(f"metric '{path}' tells the load, nothing is better there: show it")
        if kind == "shown":
            found[path] = SHOWN
        elif margin is None and metric.gate.kind != kind:
            raise UsageError(f"metric '{path}' has no margin of its own as {kind}: give one")
        else:
            found[path] = Gate(kind, metric.gate.margin if margin is None else margin)
    return found


def metrics_at(entry: Mapping[str, Any]) -> list[Metric]:
    """The metrics that one scenario and point of a summary is to have: all but the situational ones
    that no target has there."""
    return [
        metric
        for metric in METRICS
        if not metric.situational
        or any(target["metrics"][metric.path]["trials"] > 0 for target in entry["targets"])
    ]


def shown(entry: Mapping[str, Any], detail: bool = False) -> list[Metric]:
    """The metrics that are worth a row at one scenario and point of a summary: the main ones, or the
    details."""

    def values(path: str) -> list[float]:
        metrics = (target["metrics"][path] for target in entry["targets"])
        return [metric["max"] for metric in metrics if metric["median"] is not None]

    return [
        metric
        for metric in METRICS
        if metric.detail == detail
        and values(metric.path)
        and (metric.shown_if is None or any(values(metric.shown_if)))
    ]
