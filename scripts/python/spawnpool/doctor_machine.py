"""What of the machine itself makes measurements worse: cores, frequency, memory layout, clock."""
import os
import time
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any

from spawnpool.cgroup import cpu_quota
from spawnpool.documents import Json
from spawnpool.errors import Unmeasured
from spawnpool.finding import LIMITED, OK, Finding
from spawnpool.machine import CLOCK, CPUS, kernel_text, machine

CLOCK_SOURCES = "sys/devices/system/clocksource/clocksource0/available_clocksource"
# Through the vDSO it is some 50 ns with Python's part, as a system call several hundred and more.
DEAR_CLOCK_NS = 500


def examine_machine(root: Path) -> list[Finding]:
    """All of them. `root` is where the kernel's files are, / but for tests."""
    affinity = os.sched_getaffinity(0)
    reasons: dict[str, str] = {}

    def told(name: str, tell: Callable[[], Any]) -> Any:
        try:
            return tell()
        except Unmeasured as reason:
            reasons[name] = str(reason)
            return None

    facts = machine(told, root)
    source = facts["clock_source"] or reasons["clock_source"]
    sources = told("clock_sources", partial(kernel_text, root, CLOCK_SOURCES)) or ""
    return [
        cores(facts["topology"] or [], affinity),
        quota(root, affinity),
        governor(facts["governor"]),
        turbo(facts["turbo"], (root / CPUS / "intel_pstate/no_turbo").exists()),
        aslr(facts["aslr"]),
        clock(source, sources, clock_cost_ns()),
    ]


def cores(topology: Collection[Json], affinity: Collection[int]) -> Finding:
    """Whether server and generator get a core each; spawnpool-trial chooses by the same siblings."""
    siblings = {cpu: (cpu,) for cpu in sorted(affinity)}  # where the kernel does not tell
    siblings |= {it["cpu"]: tuple(it["siblings"]) for it in topology if it["cpu"] in affinity}
    count = len(set(siblings.values()))
    cpus = ", ".join(map(str, siblings))
    if count < 2:
        threads = "hardware threads of one core" if len(siblings) > 1 else "one core"
        online = os.cpu_count() or 1
        return Finding(
            "cores",
            LIMITED,
            f"CPUs this may use: {cpus} ({threads})",
            "server and generator share the core (`cpus.shared` is true): throughput is that of both",
            mend=f"taskset -pc 0-{online - 1} $$" if online > len(siblings) else "",
        )
    if any(len(core) > 1 for core in siblings.values()):
        return Finding(
            "cores",
            LIMITED,
            f"{count} cores with several hardware threads each (SMT): CPUs {cpus}",
            "whoever runs on the second thread of a measured core slows it down, and no field tells",
            mend="echo off | sudo tee /sys/devices/system/cpu/smt/control",
        )
    return Finding("cores", OK, f"{count} cores: CPUs {cpus}")


def quota(root: Path, affinity: Collection[int]) -> Finding:
    """Whether a control group stops its processes when they have used their share."""
    least = cpu_quota(root)
    if least is None or least.cpus >= len(affinity):
        return Finding("cpu-quota", OK, "no control group stops processes that use their CPUs")
    return Finding(
        "cpu-quota",
        LIMITED,
        f"{least.cpus:.3g} CPUs' time for {len(affinity)} CPUs; stopped {least.throttled} times so far",
        "server and generator are stopped in the middle: gaps in latency, rates missed (invalid trials)",
        mend=f"echo {least.lift} | sudo tee {least.file}",
    )


def governor(names: str | None) -> Finding:
    """Whether the frequency follows the load."""
    if names is None:
        return Finding("governor", OK, "none: the kernel does not set the frequency here")
    if names == "performance":
        return Finding("governor", OK, names)
    return Finding(
        "governor",
        LIMITED,
        names,
        "a core that waits is slowed down: latencies at low rates are those of its waking",
        mend=f"echo performance | sudo tee /{CPUS}/cpu*/cpufreq/scaling_governor",
    )


def turbo(on: bool | None, by_pstate: bool) -> Finding:
    """Whether the frequency depends on heat and on what other cores do."""
    if on is None:
        return Finding("turbo", OK, "none: the kernel does not set the frequency here")
    if not on:
        return Finding("turbo", OK, "off")
    value, file = ("1", "intel_pstate/no_turbo") if by_pstate else ("0", "cpufreq/boost")
    return Finding(
        "turbo",
        LIMITED,
        "on",
        "the frequency falls as the machine warms up: wider intervals",
        mend=f"echo {value} | sudo tee /{CPUS}/{file}",
    )


def aslr(value: int | None) -> Finding:
    """Each trial is a new process: with ASLR the interval covers what layout does to speed."""
    if value == 2:
        return Finding("aslr", OK, "every trial gets a memory layout of its own")
    return Finding(
        "aslr",
        LIMITED,
        "kernel.randomize_va_space " + ("cannot be read" if value is None else f"is {value}"),
        "all trials of a target share a memory layout: its luck looks like the target's speed",
        mend="sudo sysctl kernel.randomize_va_space=2",
    )


def clock_cost_ns() -> float:
    """What it takes to read the clock: the least of some rounds, since others can only add to it."""
    reads = 100
    rounds = []
    for _ in range(50):
        begin = time.perf_counter_ns()
        for _ in range(reads):
            time.monotonic_ns()
        rounds.append(time.perf_counter_ns() - begin)
    return min(rounds) / reads


def clock(source: str, sources: str, cost_ns: float) -> Finding:
    """Whether clocks are read without a system call; `sources` are those there are."""
    found = f"{source}, {cost_ns:.0f} ns a reading"
    if cost_ns < DEAR_CLOCK_NS:
        return Finding("clock", OK, found)
    return Finding(
        "clock",
        LIMITED,
        found,
        "the generator reads it for every request: fewer requests, and generator-bound trials are invalid",
        mend=f"echo tsc | sudo tee /{CLOCK}"
        if source != "tsc" and "tsc" in sources.split()
        else "",
    )
