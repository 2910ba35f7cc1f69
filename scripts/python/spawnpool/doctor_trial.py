"""A trial of `quick`, shortened, and what its result says that this machine cannot measure.

Nobody knows better than the trial itself, and its reasons are those that results have."""
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from spawnpool import paths
from spawnpool.child import Interruption
from spawnpool.cool_down import CoolDown
from spawnpool.doctor_programs import BUILD
from spawnpool.documents import Json
from spawnpool.errors import UsageError
from spawnpool.finding import LIMITED, MISSING, OK, Finding, not_tried
from spawnpool.lock import machine_lock
from spawnpool.plan import PlannedTrial
from spawnpool.preflight import check_driver, check_options
from spawnpool.results import ResultSchema
from spawnpool.suite import load_suite, trial_spec
from spawnpool.trial import run_trial

# Long enough for shares of the cores' time to be right to 4 %: two ticks of each core.
WINDOW = "500ms"
MUCH_FOREIGN = 0.1
MUCH_STEAL = 0.01


def _install(program: str) -> str:
    return "" if shutil.which(program) else f"sudo apt-get install {program}"


def _taskstats_mend() -> str:
    trial = paths.bin_dir() / "spawnpool-trial"
    return f"sudo setcap cap_net_admin+ep {trial}" if os.geteuid() != 0 else ""


def _ptrace_mend() -> str:
    if not (paths.bin_dir() / "spawnpool-syscalls").exists():
        return BUILD
    try:
        scope = Path("/proc/sys/kernel/yama/ptrace_scope").read_text(encoding="utf-8").strip()
    except OSError:  # a kernel without Yama
        scope = "0"
    # 2 leaves tracing to administrators; 3 stays until the machine is started again.
    return "sudo sysctl kernel.yama.ptrace_scope=1" if scope == "2" else ""


@dataclass(frozen=True)
class Counter:
    """A way to count what a server costs, and the fields that come from it."""

    name: str
    fields: tuple[str, ...]  # beginnings of dotted paths
    tells: str
    follows: str
    mend: Callable[[], str]


COUNTERS = (
    Counter(
        "taskstats",
        tuple(
            f"server.{name}_per_request"
            for name in (
                "context_switches",
                "voluntary_switches",
                "involuntary_switches",
                "run_queue_wait_us",
            )
        ),
        "context switches and run-queue wait, of threads that have ended too",
        "null where threads end under load, as with a thread per connection and short connections",
        _taskstats_mend,
    ),
    Counter(
        "allocations",
        ("server.allocations.",),
        "allocations of dynamically linked servers",
        "null in every trial",
        str,
    ),
    Counter(
        "ptrace",
        ("server.syscalls_",),
        "system calls, by phase too, where a suite asks for them",
        "null where a suite asks for system calls",
        _ptrace_mend,
    ),
    Counter(
        "valgrind",
        ("server.instructions_",),
        "instructions, where a suite asks for them",
        "null where a suite asks for instructions",
        lambda: _install("valgrind"),
    ),
    # The last one: all that no other has.
    Counter(
        "costs",
        ("server.", "machine."),
        "CPU time, page faults, threads, memory, and what others took of the cores",
        "null in every trial",
        str,
    ),
)


def examine_trial(interruption: Interruption) -> list[Finding]:
    """Runs it, in some seconds, and judges it; incomplete when the user interrupted it."""
    try:
        with machine_lock():
            result = run(interruption)
    except UsageError as error:
        failed = not_tried("trial", str(error), needed=True)
        return [failed, *_untried()]
    return judge(result) if result is not None else []


def run(interruption: Interruption) -> Json | None:
    """A trial with threads that end under load, all passes of accounting included. None when the
    user interrupted it; UsageError when it cannot be run."""
    suite = {
        **load_suite("quick"),
        "warmup": "100ms",
        "duration": WINDOW,
        # All passes that there are, each as short as can be.
        "accounting": {
            **load_suite("costs")["accounting"],
            "connections": 1,
            "requests_per_connection": 2,
        },
    }
    program = paths.binary("spawnpool-trial")
    check_driver(suite)
    check_options(suite)
    planned = PlannedTrial("churn", {"connections": 16}, "thread-per-connection", 0, 0)
    spec = trial_spec(suite, planned, 1)
    return run_trial(program, spec, ResultSchema(), interruption, CoolDown())


def judge(result: Json) -> list[Finding]:
    """What a TrialResult says of the machine."""
    reasons = "; ".join(reason["message"] for reason in result["reasons"])
    if result["status"] == "failed":
        follows = "no trial can be measured"
        return [Finding("trial", MISSING, reasons, follows, needed=True), *_untried()]
    findings = [Finding("trial", OK, "measured, and valid", needed=True)]
    if result["status"] == "invalid":
        follows = "such trials are invalid and do not count"
        findings = [Finding("trial", LIMITED, reasons, follows, needed=True)]
    findings.append(_load(result))
    left = {
        path: reason
        for path, reason in result["unmeasured"].items()
        if path.startswith(("server.", "machine."))
    }
    for counter in COUNTERS:
        nulls = {path: left.pop(path) for path in list(left) if path.startswith(counter.fields)}
        findings.append(_counter(counter, nulls))
    return findings


def _counter(counter: Counter, nulls: dict[str, str]) -> Finding:
    if not nulls:
        return Finding(counter.name, OK, counter.tells)
    return Finding(
        counter.name,
        MISSING,
        "; ".join(dict.fromkeys(nulls.values())),
        counter.follows,
        tuple(nulls),
        counter.mend(),
    )


def _load(result: Json) -> Finding:
    """What others took of the cores meanwhile."""
    cpus = sorted({*result["cpus"]["server"], *result["cpus"]["generator"]})
    foreign, steal = (result["machine"][key] for key in ("foreign_cpu_share", "steal_share"))
    if foreign is None or steal is None:
        return not_tried("load", "the trial does not know (costs)")
    found = (
        f"others took {100 * foreign:.0f} % of CPUs {', '.join(map(str, cpus))} "
        f"within {WINDOW}, the hypervisor {100 * steal:.0f} %"
    )
    if foreign < MUCH_FOREIGN and steal < MUCH_STEAL:
        return Finding("load", OK, found)
    return Finding(
        "load",
        LIMITED,
        found,
        "wide intervals, rates missed (invalid trials); `machine` tells the shares of each trial",
        mend="ps -eo pcpu,pid,args --sort=-pcpu | head" if foreign >= MUCH_FOREIGN else "",
    )


def _untried() -> Iterable[Finding]:
    names = ["load", *(counter.name for counter in COUNTERS)]
    return [not_tried(name, "it takes a trial") for name in names]
