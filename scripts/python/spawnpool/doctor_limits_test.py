import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from spawnpool import doctor_limits as doctor
from spawnpool import paths
from spawnpool.finding import Finding

FILES = {
    "proc/loadavg": "0.1 0.2 0.3 2/500 1234\n",
    "proc/sys/kernel/threads-max": "200000\n",
    "proc/sys/net/ipv4/ip_local_port_range": "32768\t60999\n",
    "proc/sys/net/core/somaxconn": "4096\n",
    "proc/sys/net/ipv4/tcp_syncookies": "1\n",
    "proc/sys/net/ipv4/tcp_max_syn_backlog": "128\n",
    "proc/meminfo": "MemTotal: 8000000 kB\nMemAvailable: 4000000 kB\n",
    "proc/self/status": "CapEff:\t0000000001000000\n",
    "proc/self/cgroup": "0::/\n",
    "proc/self/mountinfo": "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
}


def machine(root: Path, **changed: str) -> dict[str, Finding]:
    """The checks on a machine with FILES, some of them changed; `/` written as `__`."""
    files = {**FILES, **{path.replace("__", "/"): text for path, text in changed.items()}}
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return {finding.name: finding for finding in doctor.examine_limits(root)}


def test_enough_of_all(tmp_path: Path) -> None:
    found = machine(tmp_path)
    for name in ("threads", "ports", "backlog", "memory"):
        assert found[name].state == "ok", found[name]
    assert found["backlog"].found == "4,096 connections (somaxconn)"


def test_the_most_connections_are_those_of_the_suites() -> None:
    assert doctor.connections("quick") == 64
    assert doctor.connections("idle") > 10_000 > doctor.connections("idle", background=False)


@pytest.mark.parametrize(
    "name, change, state, found, mend",
    [
        (
            "threads",
            {"proc__sys__kernel__threads-max": "700\n"},
            "limited",
            "threads-max",
            "sysctl",
        ),
        (
            "threads",
            {"proc__sys__kernel__threads-max": "530\n"},
            "missing",
            "more (kernel",
            "sysctl",
        ),
        (
            "ports",
            {"proc__sys__net__ipv4__ip_local_port_range": "60000 60999\n"},
            "limited",
            "1,000 local ports",
            "ip_local_port_range",
        ),
        (
            "backlog",
            {"proc__sys__net__core__somaxconn": "128\n"},
            "limited",
            "128",
            "net.core.somax",
        ),
        ("backlog", {"proc__sys__net__core__somaxconn": "16\n"}, "limited", "16", "net.core.somax"),
        (
            "backlog",
            {"proc__sys__net__ipv4__tcp_syncookies": "0\n"},
            "limited",
            "128 connections (tcp_max_syn_backlog)",
            "net.ipv4.tcp_max_syn_backlog",
        ),
        (
            "memory",
            {"proc__meminfo": "MemAvailable: 500000 kB\n"},
            "limited",
            "488 MiB",
            "ps -eo rss",
        ),
    ],
)
def test_too_little(
    name: str, change: dict[str, str], state: str, found: str, mend: str, tmp_path: Path
) -> None:
    finding = machine(tmp_path, **change)[name]
    assert finding.state == state
    assert found in finding.found and mend in finding.mend and finding.follows
    assert state == "limited" or " quick" in finding.follows


def test_control_groups_limit_threads_and_memory(tmp_path: Path) -> None:
    group = "sys__fs__cgroup__"
    found = machine(
        tmp_path,
        **{
            f"{group}pids.max": "300\n",
            f"{group}pids.current": "50\n",
            f"{group}memory.max": str(600 * 2**20),
            f"{group}memory.current": str(400 * 2**20),
        },
    )
    assert found["threads"].state == "limited" and "room for 250 more" in found["threads"].found
    assert found["threads"].mend.endswith("sys/fs/cgroup/pids.max")
    assert found["memory"].state == "limited" and "200 MiB free" in found["memory"].found


def test_who_may_pass_them_is_not_bound_by_limits_on_processes(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_NPROC)
    resource.setrlimit(resource.RLIMIT_NPROC, (min(before[1], 1000), before[1]))
    try:
        assert machine(tmp_path)["threads"].state == "ok"
        bound = machine(tmp_path, proc__self__status="CapEff:\t0000000000000000\n")["threads"]
    finally:
        resource.setrlimit(resource.RLIMIT_NPROC, before)
    assert bound.state == "limited" and "room for 500 more (RLIMIT_NPROC)" in bound.found
    assert "--nproc=" in bound.mend


def test_what_the_kernel_does_not_tell_is_not_tried(tmp_path: Path) -> None:
    found = {finding.name: finding for finding in doctor.examine_limits(tmp_path)}
    assert list(found) == ["descriptors", "threads", "ports", "backlog", "memory"]
    assert found["ports"].state == "missing"
    assert found["ports"].found.startswith(
        "not tried: /proc/sys/net/ipv4/ip_local_port_range cannot"
    )


@pytest.mark.parametrize("soft, hard, state", [(90, 300, "limited"), (90, 90, "missing")])
def test_the_hard_limit_on_descriptors_is_what_servers_have(
    soft: int, hard: int, state: str
) -> None:
    """In a process of its own: who has lowered a hard limit may not raise it again."""
    command = (
        "from pathlib import Path; from spawnpool.doctor_limits import descriptors;"
        "found = descriptors(Path('/')); print(found.state, found.needed, found.follows)"
    )
    limited = ["prlimit", f"--nofile={soft}:{hard}", sys.executable, "-c", command]
    environment = {**os.environ, "PYTHONPATH": str(paths.ROOT / "scripts/python")}
    done = subprocess.run(
        limited, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    words = done.stdout.split()
    assert words[:2] == [state, "True"]
    assert ("quick," in words) == (state == "missing")
