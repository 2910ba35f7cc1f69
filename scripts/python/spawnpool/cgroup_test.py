"""Trees as kernels and containers show them."""
from pathlib import Path

from spawnpool.cgroup import cpu_quota, least_room


def tree(root: Path, cgroup: str, mountinfo: str, files: dict[str, str]) -> Path:
    for path, text in {
        "proc/self/cgroup": cgroup,
        "proc/self/mountinfo": mountinfo,
        **files,
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


V2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"


def test_version_2_takes_the_tightest_group_above(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        "0::/user.slice/job\n",
        V2,
        {
            "sys/fs/cgroup/user.slice/cpu.max": "50000 100000\n",
            "sys/fs/cgroup/user.slice/job/cpu.max": "max 100000\n",
            "sys/fs/cgroup/user.slice/pids.max": "1000\n",
            "sys/fs/cgroup/user.slice/pids.current": "990\n",
            "sys/fs/cgroup/user.slice/job/pids.max": "100\n",
            "sys/fs/cgroup/user.slice/job/pids.current": "5\n",
            "sys/fs/cgroup/other/cpu.max": "1000 100000\n",  # not above this process
        },
    )
    quota = cpu_quota(root)
    assert quota is not None and (quota.cpus, quota.lift, quota.throttled) == (0.5, "max", 0)
    assert quota.file == root / "sys/fs/cgroup/user.slice/cpu.max"
    room = least_room(root, "pids", "pids.max", "pids.current")
    assert room == (10, root / "sys/fs/cgroup/user.slice/pids.max")


def test_version_1_has_a_mount_for_each_set_of_controllers(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        "5:memory:/m\n4:cpu,cpuacct:/c\n1:name=systemd:/m\n",
        "31 24 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
        "32 24 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
        {
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us": "120000\n",
            "sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpu,cpuacct/c/cpu.stat": "nr_periods 4\nnr_throttled 3\n",
            "sys/fs/cgroup/cpu,cpuacct/m/cpu.cfs_quota_us": "1\n",  # a group of another hierarchy
            "sys/fs/cgroup/memory/m/memory.limit_in_bytes": "1000\n",
            "sys/fs/cgroup/memory/m/memory.usage_in_bytes": "900\n",
            "sys/fs/cgroup/memory/m/memory.stat": "cache 500\ninactive_file 300\n",
        },
    )
    quota = cpu_quota(root)
    assert quota is not None and (quota.cpus, quota.lift, quota.throttled) == (1.2, "-1", 3)
    room = least_room(root, "memory", "memory.limit_in_bytes", "memory.usage_in_bytes")
    assert room is not None and room[0] == 400


def test_a_container_whose_mount_begins_at_its_own_group(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        "4:pids:/docker/abc\n",
        "31 24 0:27 /docker/abc /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n",
        {"sys/fs/cgroup/pids/pids.max": "64\n", "sys/fs/cgroup/pids/pids.current": "4\n"},
    )
    room = least_room(root, "pids", "pids.max", "pids.current")
    assert room == (60, root / "sys/fs/cgroup/pids/pids.max")


def test_no_limit_is_none(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path) is None  # not even /proc
    root = tree(
        tmp_path,
        "0::/\n",
        V2,
        {"sys/fs/cgroup/pids.max": "max\n", "sys/fs/cgroup/pids.current": "4\n"},
    )
    assert cpu_quota(root) is None
    assert least_room(root, "pids", "pids.max", "pids.current") is None
