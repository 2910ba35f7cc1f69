"""The limits that the control groups of this process set, of both versions of cgroups."""
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, order=True)
class CpuQuota:
    """CPU time per period, as a number of CPUs, and where it is set. The least one binds."""

    cpus: float
    file: Path
    lift: str  # what written to the file lifts it
    throttled: int  # periods so far in which it stopped somebody


def cpu_quota(root: Path) -> CpuQuota | None:
    """The least CPU quota among the groups of this process; None where none is set."""
    quotas = [*_quotas_v2(root), *_quotas_v1(root)]
    return min(quotas, default=None)


def least_room(root: Path, controller: str, limit: str, used: str) -> tuple[int, Path] | None:
    """What is left below the limits of the groups of this process, the least of all, and the file
    that sets it; None where none is set. `limit` and `used` are names of files."""
    rooms = []
    for folder in groups(root, controller):
        most, taken = _number(folder / limit), _number(folder / used)
        if most is not None and taken is not None:
            rooms.append((most - taken + _reclaimable(folder), folder / limit))
    return min(rooms, default=None)


def _quotas_v2(root: Path) -> Iterator[CpuQuota]:
    for folder in groups(root, "cpu"):
        words = _read(folder / "cpu.max").split()
        if len(words) == 2 and words[0] != "max":
            cpus = int(words[0]) / int(words[1])
            yield CpuQuota(cpus, folder / "cpu.max", "max", _throttled(folder))


def _quotas_v1(root: Path) -> Iterator[CpuQuota]:
    for folder in groups(root, "cpu"):
        file = folder / "cpu.cfs_quota_us"
        quota = _number(file)  # -1: none
        period = _number(folder / "cpu.cfs_period_us")
        if quota is not None and period is not None:
            yield CpuQuota(quota / period, file, "-1", _throttled(folder))


def _throttled(folder: Path) -> int:
    told = re.search(r"^nr_throttled (\d+)$", _read(folder / "cpu.stat"), re.MULTILINE)
    return int(told.group(1)) if told else 0


def _reclaimable(folder: Path) -> int:
    """Bytes that a group's use of memory counts and its limit does not: old pages of files."""
    told = re.search(
        r"^(?:total_)?inactive_file (\d+)$", _read(folder / "memory.stat"), re.MULTILINE
    )
    return int(told.group(1)) if told else 0


def groups(root: Path, controller: str) -> Iterator[Path]:
    """The groups of this process that `controller` may limit, from its own up to the mount."""
    mounts = list(_mounts(root))
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        controllers = set(names.split(","))
        if names and controller not in controllers:  # version 2 has no names and all controllers
            continue
        for mount, top, version, options in mounts:
            if version == ("cgroup" if names else "cgroup2") and (
                not names or controllers <= options
            ):
                # Within a container the mount may begin below the hierarchy's root.
                inner = path.removeprefix(top) if top != "/" else path
                folder = mount / inner.strip("/")
                yield from (at for at in (folder, *folder.parents) if at.is_relative_to(mount))


def _mounts(root: Path) -> Iterator[tuple[Path, str, str, set[str]]]:
    """Where cgroups are mounted: place, group that it shows, version, options."""
    for line in _read(root / "proc/self/mountinfo").splitlines():
        place, _, kind = line.partition(" - ")
        _, _, _, top, point, *_ = place.split()
        filesystem, _, options = (kind.split() + ["", "", ""])[:3]
        if filesystem in ("cgroup", "cgroup2"):
            yield root / point.lstrip("/"), top, filesystem, set(options.split(","))


def _number(file: Path) -> int | None:
    """What a file holds; None where that is no amount ("max", -1) or there is none."""
    text = _read(file).strip()
    return int(text) if text.isdigit() else None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:  # no such controller, or not ours to read
        return ""
