"""What of a machine bears on its measurements, as the kernel tells it."""
import resource
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from spawnpool.cgroup import groups
from spawnpool.documents import Json
from spawnpool.errors import Unmeasured

CPUS = "sys/devices/system/cpu"
CLOCK = "sys/devices/system/clocksource/clocksource0/current_clocksource"
# What decides how many connections can wait for a server, be open, and linger in TIME_WAIT.
NETWORK = {
    "somaxconn": "proc/sys/net/core/somaxconn",
    "tcp_max_syn_backlog": "proc/sys/net/ipv4/tcp_max_syn_backlog",
    "tcp_max_tw_buckets": "proc/sys/net/ipv4/tcp_max_tw_buckets",
    "tcp_tw_reuse": "proc/sys/net/ipv4/tcp_tw_reuse",
    "tcp_fin_timeout": "proc/sys/net/ipv4/tcp_fin_timeout",
}

Tell = Callable[[str, Callable[[], Any]], Any]


def machine(told: Tell, root: Path = Path("/")) -> Json:
    """The parts of a result's `context` that are read from /proc, /sys and the limits of this process.

    `told` takes the name of a part and what tells it or raises Unmeasured, and gives what was told, or
    None. `root` is where the kernel's files are, / but for tests."""
    return {
        "topology": told("topology", partial(_topology, root)),
        "hypervisor": told("hypervisor", partial(_hypervisor, root)),
        "governor": told("governor", partial(_governor, root)),
        "turbo": told("turbo", partial(_turbo, root)),
        "aslr": told("aslr", partial(kernel_number, root, "proc/sys/kernel/randomize_va_space")),
        "clock_source": told("clock_source", partial(kernel_text, root, CLOCK)),
        "limits": {
            "open_files": _limit(told, "open_files", resource.RLIMIT_NOFILE),
            "processes": _limit(told, "processes", resource.RLIMIT_NPROC),
            "cgroup_pids": told("limits.cgroup_pids", partial(_cgroup_pids, root)),
        },
        "network": {
            name: told(f"network.{name}", partial(kernel_number, root, path))
            for name, path in NETWORK.items()
        },
    }


def kernel_text(root: Path, path: str) -> str:
    """A file of the kernel's without the blanks around. Unmeasured where it cannot be read."""
    try:
        return (root / path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Unmeasured(f"/{path} cannot be read: {error.strerror}") from error


def kernel_number(root: Path, path: str) -> int:
    """The whole number in a file of the kernel's. Unmeasured where it cannot be read."""
    return int(kernel_text(root, path))


def cpu_list(text: str) -> list[int]:
    """The numbers of a list as the kernel writes it, such as "0-3,8"."""
    numbers: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def _topology(root: Path) -> list[Json]:
    def told_of(cpu: int) -> Json:
        place = f"{CPUS}/cpu{cpu}/topology"
        return {
            "cpu": cpu,
            "core": kernel_number(root, f"{place}/core_id"),
            "package": kernel_number(root, f"{place}/physical_package_id"),
            "siblings": cpu_list(kernel_text(root, f"{place}/thread_siblings_list")),
        }

    return [told_of(cpu) for cpu in cpu_list(kernel_text(root, f"{CPUS}/online"))]


def _hypervisor(root: Path) -> bool:
    for line in kernel_text(root, "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "flags":  # of x86
            return "hypervisor" in value.split()
    raise Unmeasured("/proc/cpuinfo has no flags that would tell")


def _governor(root: Path) -> str:
    names = {
        kernel_text(root, f"{CPUS}/cpu{cpu}/cpufreq/scaling_governor")
        for cpu in cpu_list(kernel_text(root, f"{CPUS}/online"))
    }
    return ",".join(sorted(names))


def _turbo(root: Path) -> bool:
    for path, on in ((f"{CPUS}/intel_pstate/no_turbo", "0"), (f"{CPUS}/cpufreq/boost", "1")):
        try:
            return kernel_text(root, path) == on
        except Unmeasured:
            continue
    raise Unmeasured("the kernel does not set the frequency here")


def _limit(told: Tell, name: str, limit: int) -> Json:
    """Of this process, which its servers inherit."""

    def bounded(value: int) -> int:
        if value == resource.RLIM_INFINITY:
            raise Unmeasured("without limit")
        return value

    soft, hard = resource.getrlimit(limit)
    return {
        kind: told(f"limits.{name}.{kind}", partial(bounded, value))
        for kind, value in (("soft", soft), ("hard", hard))
    }


def _cgroup_pids(root: Path) -> int:
    """The least limit on threads among this process' control group and those above it."""
    files = [group / "pids.max" for group in groups(root, "pids")]
    limits = [file.read_text().strip() for file in files if file.is_file()]
    numbers = [int(limit) for limit in limits if limit != "max"]
    if not numbers:
        raise Unmeasured("without limit" if limits else "the control group does not count threads")
    return min(numbers)
