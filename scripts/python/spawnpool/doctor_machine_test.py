"""Against what other machines have."""
import os
from pathlib import Path

import pytest

from spawnpool import doctor_machine as doctor
from spawnpool.documents import Json
from spawnpool.machine import CLOCK, CPUS


def _topology(*siblings: list[int]) -> list[Json]:
    return [{"cpu": cpu, "siblings": threads} for cpu, threads in enumerate(siblings)]


TWO_BY_TWO = _topology([0, 2], [1, 3], [0, 2], [1, 3])


@pytest.mark.parametrize(
    "topology, affinity, state, found",
    [
        (_topology([0], [1]), {0, 1}, "ok", "2 cores: CPUs 0, 1"),
        (TWO_BY_TWO, {0, 1, 2, 3}, "limited", "2 cores with several hardware threads each"),
        (TWO_BY_TWO, {0, 1}, "limited", "2 cores with several hardware threads each"),
        (TWO_BY_TWO, {0, 2}, "limited", "0, 2 (hardware threads of one core)"),
        (_topology([0], [1]), {1}, "limited", "1 (one core)"),
        ([], {0, 1}, "ok", "2 cores: CPUs 0, 1"),  # a kernel that does not tell
    ],
)
def test_cores(topology: list[Json], affinity: set[int], state: str, found: str) -> None:
    finding = doctor.cores(topology, affinity)
    assert finding.state == state and found in finding.found


def test_a_wider_affinity_is_the_mend_where_there_are_more_cpus() -> None:
    online = os.cpu_count() or 1
    finding = doctor.cores(_topology([0]), {0})
    assert finding.mend == (f"taskset -pc 0-{online - 1} $$" if online > 1 else "")


def test_governor() -> None:
    assert doctor.governor(None).state == doctor.governor("performance").state == "ok"
    finding = doctor.governor("performance,powersave")
    assert (finding.state, finding.found) == ("limited", "performance,powersave")
    assert finding.mend.startswith("echo performance | sudo tee /sys/")


def test_turbo() -> None:
    assert doctor.turbo(None, False).state == doctor.turbo(False, True).state == "ok"
    assert doctor.turbo(True, True).mend == f"echo 1 | sudo tee /{CPUS}/intel_pstate/no_turbo"
    assert doctor.turbo(True, False).mend == f"echo 0 | sudo tee /{CPUS}/cpufreq/boost"


@pytest.mark.parametrize(
    "value, state", [(2, "ok"), (1, "limited"), (0, "limited"), (None, "limited")]
)
def test_aslr(value: int | None, state: str) -> None:
    assert doctor.aslr(value).state == state


def test_clock() -> None:
    assert doctor.clock("hpet", "tsc hpet", doctor.DEAR_CLOCK_NS - 1).state == "ok"
    finding = doctor.clock("hpet", "tsc hpet", doctor.DEAR_CLOCK_NS)
    assert (finding.state, finding.mend) == ("limited", f"echo tsc | sudo tee /{CLOCK}")
    assert doctor.clock("hpet", "hpet acpi_pm", 1500).mend == ""
    assert doctor.clock("tsc", "tsc hpet", 1500).mend == ""
    assert doctor.clock_cost_ns() > 0


def test_a_machine_as_its_kernel_shows_it(tmp_path: Path) -> None:
    files = {
        f"{CPUS}/online": "0-1",
        **{f"{CPUS}/cpu{n}/topology/core_id": "4" for n in (0, 1)},
        **{f"{CPUS}/cpu{n}/topology/physical_package_id": "1" for n in (0, 1)},
        **{f"{CPUS}/cpu{n}/topology/thread_siblings_list": "0-1" for n in (0, 1)},
        **{f"{CPUS}/cpu{n}/cpufreq/scaling_governor": "powersave" for n in (0, 1)},
        f"{CPUS}/intel_pstate/no_turbo": "0",
        "proc/sys/kernel/randomize_va_space": "0",
        CLOCK: "hpet",
        "proc/self/cgroup": "0::/box",
        "proc/self/mountinfo": "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw",
        "sys/fs/cgroup/box/cpu.max": "50000 100000",
        "sys/fs/cgroup/box/cpu.stat": "usage_usec 1\nnr_periods 9\nnr_throttled 7",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text + "\n")
    found = {finding.name: finding for finding in doctor.examine_machine(tmp_path)}
    assert list(found) == ["cores", "cpu-quota", "governor", "turbo", "aslr", "clock"]
    states = {
        name: finding.state for name, finding in found.items() if name not in ("cores", "clock")
    }
    assert set(states.values()) == {"limited"}
    assert found["clock"].found.startswith("hpet, ")
    assert "stopped 7 times so far" in found["cpu-quota"].found
    assert found["cpu-quota"].mend == f"echo max | sudo tee {tmp_path}/sys/fs/cgroup/box/cpu.max"


def test_nothing_told_is_no_crash(tmp_path: Path) -> None:
    assert len(doctor.examine_machine(tmp_path)) == 6
    assert len(doctor.examine_machine(Path("/"))) == 6


def test_a_quota_of_all_cpus_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    (tmp_path / "proc/self/mountinfo").write_text("30 24 0:26 / /cg rw - cgroup2 cgroup2 rw\n")
    (tmp_path / "cg").mkdir()
    (tmp_path / "cg/cpu.max").write_text("150000 100000\n")
    assert doctor.quota(tmp_path, {0}).state == "ok"
    assert doctor.quota(tmp_path, {0, 1}).state == "limited"
