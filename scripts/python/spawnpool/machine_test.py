import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spawnpool.documents import Json
from spawnpool.errors import Unmeasured
from spawnpool.machine import cpu_list, machine


def _told(root: Path) -> tuple[Json, dict[str, str]]:
    reasons: dict[str, str] = {}

    def told(name: str, tell: Callable[[], Any]) -> Any:
        try:
            return tell()
        except Unmeasured as reason:
            reasons[name] = str(reason)
            return None

    return machine(told, root), reasons


def _kernel(root: Path, files: dict[str, str]) -> None:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content + "\n")


CPU = "sys/devices/system/cpu"
CGROUP = {
    "proc/self/cgroup": "0::/",
    "proc/self/mountinfo": "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw",
}
FILES = {
    **CGROUP,
    f"{CPU}/online": "0-1",
    **{f"{CPU}/cpu{n}/topology/core_id": "4" for n in (0, 1)},
    **{f"{CPU}/cpu{n}/topology/physical_package_id": "1" for n in (0, 1)},
    **{f"{CPU}/cpu{n}/topology/thread_siblings_list": "0-1" for n in (0, 1)},
    **{f"{CPU}/cpu{n}/cpufreq/scaling_governor": "powersave" for n in (0, 1)},
    "proc/cpuinfo": "processor\t: 0\nflags\t\t: fpu hypervisor sse",
    "proc/sys/kernel/randomize_va_space": "2",
    "proc/self/cgroup": "0::/a/b",
    "sys/fs/cgroup/a/b/pids.max": "max",
    "sys/fs/cgroup/a/pids.max": "500",
    "sys/fs/cgroup/pids.max": "700",
    "proc/sys/net/core/somaxconn": "4096",
    "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc",
}


def test_this_machine_is_told() -> None:
    found, reasons = _told(Path("/"))
    assert found["topology"][0]["cpu"] in found["topology"][0]["siblings"]
    assert found["aslr"] in (0, 1, 2)
    assert found["network"]["somaxconn"] > 0
    assert found["limits"]["open_files"]["soft"] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    nulls = [key for key in found if found[key] is None]
    assert all(reasons[key] for key in nulls)


def test_what_the_kernel_says_is_what_is_told(tmp_path: Path) -> None:
    _kernel(tmp_path, FILES)
    found, reasons = _told(tmp_path)
    siblings = [{"cpu": n, "core": 4, "package": 1, "siblings": [0, 1]} for n in (0, 1)]
    assert found["topology"] == siblings
    assert (found["hypervisor"], found["governor"], found["aslr"]) == (True, "powersave", 2)
    assert found["limits"]["cgroup_pids"] == 500 and found["clock_source"] == "tsc"
    assert found["network"]["somaxconn"] == 4096 and found["network"]["tcp_tw_reuse"] is None
    assert reasons["network.tcp_tw_reuse"].startswith("/proc/sys/net/ipv4/tcp_tw_reuse cannot be")
    assert found["turbo"] is None and "does not set the frequency" in reasons["turbo"]


@pytest.mark.parametrize(
    "path, content, turbo",
    [
        (f"{CPU}/intel_pstate/no_turbo", "0", True),
        (f"{CPU}/intel_pstate/no_turbo", "1", False),
        (f"{CPU}/cpufreq/boost", "1", True),
        (f"{CPU}/cpufreq/boost", "0", False),
    ],
)
def test_turbo_by_either_driver(tmp_path: Path, path: str, content: str, turbo: bool) -> None:
    _kernel(tmp_path, {**FILES, path: content})
    assert _told(tmp_path)[0]["turbo"] is turbo


@pytest.mark.parametrize(
    "files, reason",
    [
        ({"proc/self/cgroup": "4:pids:/a"}, "the control group does not count threads"),
        (CGROUP, "the control group does not count threads"),
        ({**CGROUP, "sys/fs/cgroup/pids.max": "max"}, "without limit"),
    ],
)
def test_no_limit_on_threads_has_its_reason(
    tmp_path: Path, files: dict[str, str], reason: str
) -> None:
    _kernel(tmp_path, files)
    found, reasons = _told(tmp_path)
    assert found["limits"]["cgroup_pids"] is None and reasons["limits.cgroup_pids"] == reason
    assert reasons["topology"].startswith(f"/{CPU}/online cannot be read")
    assert reasons["hypervisor"].startswith("/proc/cpuinfo")


@pytest.mark.parametrize(
    "text, numbers", [("", []), ("3", [3]), ("0-2", [0, 1, 2]), ("0,4-5", [0, 4, 5])]
)
def test_lists_of_cpus(text: str, numbers: list[int]) -> None:
    assert cpu_list(text) == numbers
