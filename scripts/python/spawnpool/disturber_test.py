"""The process that disturbs a trial."""
import os
import select
from pathlib import Path

from spawnpool.conftest import PATIENCE
from spawnpool.disturber import disturber


def test_it_works_on_its_core_and_is_gone_after() -> None:
    core = max(os.sched_getaffinity(0))
    with disturber(core, 60.0) as pid:
        handle = os.pidfd_open(pid)
        stat = Path(f"/proc/{pid}/stat")
        while int(stat.read_text().rpartition(")")[2].split()[11]) == 0:  # until it used CPU time
            assert not select.select([handle], [], [], 0)[0]
        assert os.sched_getaffinity(pid) == {core}
    assert select.select([handle], [], [], PATIENCE)[0]
    os.close(handle)


def test_it_ends_by_itself_at_its_bound() -> None:
    with disturber(min(os.sched_getaffinity(0)), 0.01) as pid:
        handle = os.pidfd_open(pid)
        assert select.select([handle], [], [], PATIENCE)[0]
        os.close(handle)
