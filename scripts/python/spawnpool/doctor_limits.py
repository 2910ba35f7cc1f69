"""Limits on processes and sockets, beside what the shipped suites need of them."""
import functools
import resource
from pathlib import Path

from spawnpool.cgroup import least_room
from spawnpool.errors import Unmeasured
from spawnpool.finding import LIMITED, MISSING, OK, Finding, not_tried
from spawnpool.load import load_of
from spawnpool.machine import kernel_number, kernel_text
from spawnpool.paths import known_suites
from spawnpool.suite import load_suite

# Beside the connections a process has standard streams, epoll, and what its libraries open: what
# spawnpool-load reckons with as well.
OTHER_DESCRIPTORS = 32
# A thread per connection with the 10,000 idle ones of the suite `idle` takes 230 MB, and the
# generator, the trial and the rest of the machine are to fit beside it.
ENOUGH_MEMORY = 512 * 2**20

V1_MEMORY = ("memory.limit_in_bytes", "memory.usage_in_bytes")
CLIENTS = ("idle", "slow_senders", "slow_readers")


def examine_limits(root: Path) -> list[Finding]:
    """All of them. `root` is where the kernel's files are, / but for tests."""
    findings = []
    for check in (descriptors, threads, ports, backlog, memory):
        try:
            findings.append(check(root))
        except Unmeasured as reason:
            findings.append(not_tried(check.__name__, str(reason)))
    return findings


@functools.cache
def connections(name: str, background: bool = True) -> int:
    """The most connections that a shipped suite has open at once, with or without its background."""
    suite = load_suite(name)
    most = 0
    for scenario in suite["scenarios"]:
        for point in scenario["points"]:
            load = load_of(scenario, point)
            beside = load.get("background", {}) if background else {}
            most = max(most, load["connections"] + sum(beside.get(kind, 0) for kind in CLIENTS))
    return most


def _judge(
    name: str,
    found: str,
    room: float,
    needs: dict[str, int],
    follows: str,
    mend: str,
    needed: bool = True,
) -> Finding:
    """`room` beside what each suite needs; one that has too little of it measures nothing where it is
    `needed`."""
    short = sorted(suite for suite, need in needs.items() if need > room)
    if not short:
        return Finding(name, OK, found, needed=needed)
    return Finding(
        name,
        MISSING if needed and "quick" in short else LIMITED,
        f"{found}; {max(needs.values()):,} are needed",
        f"{follows} in {', '.join(short)}",
        mend=mend,
        needed=needed,
    )


def _needs(beside: int, background: bool = True) -> dict[str, int]:
    return {name: connections(name, background) + beside for name in known_suites()}


def descriptors(_root: Path) -> Finding:
    """The hard limit counts: the generator and the servers raise their own to it, those in Go as well."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needs = _needs(OTHER_DESCRIPTORS)
    most = max(needs.values())
    return _judge(
        "descriptors",
        f"{_number(hard)} per process",
        _room(hard),
        needs,
        "connections cannot be opened (invalid trials)",
        f"sudo prlimit --pid $$ --nofile={most}:{most}",
    )


def threads(root: Path) -> Finding:
    """A thread per connection needs as many, beside those that run already."""
    needs = _needs(OTHER_DESCRIPTORS)
    most = max(needs.values())
    running = int(kernel_text(root, "proc/loadavg").split()[3].partition("/")[2])
    kernel = kernel_number(root, "proc/sys/kernel/threads-max")
    choices: list[tuple[float, str, str]] = [
        (kernel - running, "kernel.threads-max", f"sudo sysctl kernel.threads-max={2 * most}")
    ]
    if not _may_pass_limits(root):
        soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
        mend = f"sudo prlimit --pid $$ --nproc={2 * most}:{2 * most}"
        choices.append((_room(soft) - running, "RLIMIT_NPROC", mend))
    group = least_room(root, "pids", "pids.max", "pids.current")
    if group is not None:
        choices.append((group[0], str(group[1]), f"echo max | sudo tee {group[1]}"))
    room, name, mend = min(choices)
    return _judge(
        "threads",
        f"room for {_number(room)} more ({name})",
        room,
        needs,
        "threads cannot be started, connections get 503 (invalid trials)",
        mend,
    )


def ports(root: Path) -> Finding:
    """Kept connections come from one address, each from a port of its own."""
    first, last = map(int, kernel_text(root, "proc/sys/net/ipv4/ip_local_port_range").split())
    return _judge(
        "ports",
        f"{last - first + 1:,} local ports, {first} to {last}",
        last - first + 1,
        _needs(0),
        "connections cannot be opened (no trial)",
        "sudo sysctl net.ipv4.ip_local_port_range='10000 65000'",
    )


def backlog(root: Path) -> Finding:
    """The kernel's bounds on connections that the server has not accepted yet."""
    queues = {"somaxconn": kernel_number(root, "proc/sys/net/core/somaxconn")}
    if kernel_text(root, "proc/sys/net/ipv4/tcp_syncookies") == "0":
        queues["tcp_max_syn_backlog"] = kernel_number(root, "proc/sys/net/ipv4/tcp_max_syn_backlog")
    name, length = min(queues.items(), key=lambda queue: queue[1])
    needs = _needs(0, background=False)
    return _judge(
        "backlog",
        f"{length:,} connections ({name})",
        length,
        needs,
        "connections opened together are tried again after 1 s: latencies of a second",
        f"sudo sysctl net.{'core' if name == 'somaxconn' else 'ipv4'}.{name}=4096",
        needed=False,
    )


def memory(root: Path) -> Finding:
    """What is free of the machine's and of the control groups' memory."""
    lines = kernel_text(root, "proc/meminfo").splitlines()
    fields = {key: value for key, _, value in (line.partition(":") for line in lines)}
    free, bound = 1024 * int(fields["MemAvailable"].split()[0]), "the machine's"
    for version in (("memory.max", "memory.current"), V1_MEMORY):
        group = least_room(root, "memory", *version)
        if group is not None:
            free, bound = min((free, bound), (group[0], str(group[1])))
    found = f"{free / 2**20:,.0f} MiB free ({bound})"
    if free >= ENOUGH_MEMORY:
        return Finding("memory", OK, found)
    return Finding(
        "memory",
        LIMITED,
        found,
        "targets may be killed under many connections (failed trials), or wait for pages to be written out",
        mend="ps -eo rss,pid,args --sort=-rss | head",
    )


def _may_pass_limits(root: Path) -> bool:
    """Whether RLIMIT_NPROC does not bind this process: CAP_SYS_ADMIN or CAP_SYS_RESOURCE."""
    passes = 1 << 21 | 1 << 24
    effective = kernel_text(root, "proc/self/status").partition("CapEff:")[2].split()[0]
    return bool(int(effective, 16) & passes)


def _room(limit: int) -> float:
    return float("inf") if limit == resource.RLIM_INFINITY else limit


def _number(limit: float) -> str:
    return "without limit" if limit in (float("inf"), resource.RLIM_INFINITY) else f"{limit:,}"
