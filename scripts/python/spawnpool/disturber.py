"""Work that is none of a trial's, for a self-check under load."""
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Busy and idle in turns of half a second on average, as a neighbour is: a steady load would only make
# both targets slower.
_PROGRAM = """
import random, sys, time
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    busy = min(end, time.monotonic() + random.expovariate(2))
    while time.monotonic() < busy:
        pass
    time.sleep(random.expovariate(2))
"""


@contextmanager
def disturber(core: int, bound: float) -> Iterator[int]:
    """While entered, a process, whose id this gives, takes about half of a core's time. It ends on
    leaving, with this process, even when that is killed, and after `bound` seconds at the latest.
    """
    process = subprocess.Popen(
        # The core by number: this process may itself be kept off it.
        ["setpriv", "--pdeathsig", "KILL", "--", "taskset", "--cpu-list", str(core)]
        + [sys.executable, "-c", _PROGRAM, str(bound)],
        stdin=subprocess.DEVNULL,
    )
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()
