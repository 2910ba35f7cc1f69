import socket
from pathlib import Path

import pytest

from spawnpool.cool_down import BOUND_S, CoolDown
from spawnpool.errors import Unmeasured


class _Kernel:
    """A /proc/net/sockstat, and a clock at whose instants it changes."""

    def __init__(self, root: Path, orphans: int) -> None:
        self.root, self.now = root, 100.0
        self.changes: list[tuple[float, int]] = []
        (root / "proc/net").mkdir(parents=True)
        self.show(orphans)

    def show(self, orphans: int) -> None:
        content = (
            f"sockets: used 9\nTCP: inuse 3 orphan {orphans} tw 16360 alloc 4 mem 1\nUDP: inuse 0\n"
        )
        (self.root / "proc/net/sockstat").write_text(content)

    def clock(self) -> float:
        return self.now

    def pause(self, duration_s: float) -> None:
        self.now += duration_s
        while self.changes and self.changes[0][0] <= self.now:
            self.show(self.changes.pop(0)[1])

    def cool_down(self) -> CoolDown:
        return CoolDown(self.root, self.clock, self.pause)


def test_nothing_left_is_not_waited_for(tmp_path: Path) -> None:
    kernel = _Kernel(tmp_path, orphans=2)  # of other software
    before = {"time_wait": 16360, "orphans": 2, "waited_s": 0.0, "settled": True}
    assert kernel.cool_down().wait() == before


def test_orphans_are_awaited(tmp_path: Path) -> None:
    kernel = _Kernel(tmp_path, orphans=0)
    cool_down = kernel.cool_down()
    kernel.show(30)
    kernel.changes = [(100.2, 3), (100.5, 0)]
    before = cool_down.wait()
    assert before["settled"] and before["orphans"] == 0
    assert before["waited_s"] == pytest.approx(0.5, abs=0.02)


def test_what_stays_is_told_after_a_bounded_wait(tmp_path: Path) -> None:
    kernel = _Kernel(tmp_path, orphans=0)
    cool_down = kernel.cool_down()
    kernel.show(1)
    before = cool_down.wait()
    assert not before["settled"] and before["orphans"] == 1
    assert before["waited_s"] == pytest.approx(BOUND_S, abs=0.02)


@pytest.mark.parametrize("content", [None, "sockets: used 9\n"])
def test_a_kernel_that_does_not_tell_is_a_reason(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "proc/net").mkdir(parents=True)
        (tmp_path / "proc/net/sockstat").write_text(content)
    with pytest.raises(Unmeasured, match="^/proc/net/sockstat "):
        CoolDown(tmp_path).wait()


def test_this_kernel_counts_time_wait() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()):
            accepted, _ = server.accept()
        assert accepted.recv(1) == b""  # the side that closed first is in TIME_WAIT when both have
        accepted.close()
        assert CoolDown().wait()["time_wait"] > 0
