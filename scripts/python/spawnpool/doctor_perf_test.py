import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spawnpool import doctor_perf as doctor

# Who has one of these capabilities is not bound by perf_event_paranoid; root may drop them.
CAPABILITIES = 1 << 21 | 1 << 38  # CAP_SYS_ADMIN, CAP_PERFMON
DROPPED = "-sys_admin,-perfmon"
DROP = ["setpriv", "--bounding-set", DROPPED, "--inh-caps", DROPPED] if os.geteuid() == 0 else []

PROGRAM = """
import re
from spawnpool.doctor_perf import examine_perf
print(re.search("CapEff:(.*)", open("/proc/self/status").read())[1].strip())
print(*(f"{finding.name}={finding.state}={finding.mend}" for finding in examine_perf()), sep="\\n")
"""


@pytest.mark.parametrize("before", [[], DROP])
def test_the_setting_decides_unless_one_may_all(before: list[str]) -> None:
    done = subprocess.run(
        [*before, sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    capabilities, software, hardware = done.stdout.splitlines()
    paranoid = int(Path(doctor.PARANOID).read_text())
    mend = "sudo sysctl kernel.perf_event_paranoid=1"
    if paranoid <= 1 or int(capabilities, 16) & CAPABILITIES:
        assert software == "perf-software=ok="
    else:
        state = "limited" if paranoid == 2 else "missing"
        assert software == f"perf-software={state}={mend}"
    assert hardware == "perf-hardware=missing=" or not _lacks_counters()


def _lacks_counters() -> bool:
    """Whether nobody could count hardware events here, so that no setting is the mend."""
    try:
        doctor.count((doctor.TYPE_HARDWARE, doctor.HW_INSTRUCTIONS), doctor.EXCLUDE_KERNEL)
    except OSError as error:
        return error.errno == errno.ENOENT
    return False


def test_an_event_that_does_not_exist_leaves_no_descriptor_behind() -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError) as refusal:
        doctor.count((doctor.TYPE_SOFTWARE, 10**6), doctor.EXCLUDE_KERNEL)
    assert refusal.value.errno in (errno.ENOENT, errno.EINVAL, *doctor.NOT_ALLOWED)
    doctor.examine_perf()
    assert os.listdir("/proc/self/fd") == before
