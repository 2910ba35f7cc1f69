"""Whether the kernel counts events for us, tried with perf_event_open(2)."""
import ctypes
import errno
import os
import platform
import struct

from spawnpool.finding import LIMITED, MISSING, OK, Finding

# perf_event_open has no function in libc; its number by architecture (arch/*/syscalls).
SYSCALLS = {"x86_64": 298, "aarch64": 241}

PARANOID = "/proc/sys/kernel/perf_event_paranoid"

# linux/perf_event.h
ATTR_SIZE_VER0 = 64
TYPE_HARDWARE, TYPE_SOFTWARE = 0, 1
SW_TASK_CLOCK, HW_INSTRUCTIONS = 1, 1
EXCLUDE_KERNEL = 1 << 5

NOT_ALLOWED = (errno.EACCES, errno.EPERM)
WHY = {
    errno.EACCES: f"not allowed by {PARANOID}",
    errno.EPERM: f"not allowed by {PARANOID}, or by a container's filter of system calls",
    errno.ENOENT: "the CPU shows no counters, as in many virtual machines",
    errno.ENOSYS: "this kernel has no perf events",
}


def examine_perf() -> list[Finding]:
    """Software events and hardware events. No result depends on them: they are for profilers."""
    return [
        _judge(
            "perf-software",
            (TYPE_SOFTWARE, SW_TASK_CLOCK),
            "profilers such as perf cannot look into the servers; results lack nothing",
        ),
        _judge(
            "perf-hardware",
            (TYPE_HARDWARE, HW_INSTRUCTIONS),
            "instructions come from valgrind alone, one connection at a time; profilers see no cycles",
        ),
    ]


def _judge(name: str, event: tuple[int, int], follows: str) -> Finding:
    mend = "sudo sysctl kernel.perf_event_paranoid=1"
    try:
        counted = count(event, 0)
    except OSError as error:
        if error.errno not in NOT_ALLOWED:
            return Finding(name, MISSING, WHY.get(error.errno or 0, str(error)), follows)
        try:
            counted = count(event, EXCLUDE_KERNEL)
        except OSError as again:
            why = WHY.get(again.errno or 0, str(again))
            allows = mend if again.errno in NOT_ALLOWED else ""
            return Finding(name, MISSING, why, follows, mend=allows)
        return Finding(name, LIMITED, "of user code only", follows, mend=mend)
    if counted == 0:
        return Finding(name, MISSING, "the kernel opens the counter, and it stands still", follows)
    return Finding(name, OK, "counts, in the kernel too")


def count(event: tuple[int, int], flags: int) -> int:
    """How often an event (type, number) came while this thread worked a little. OSError when the
    kernel does not count it for us; ENOSYS on an architecture that is not known here."""
    number = SYSCALLS.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"perf_event_open is not known on {platform.machine()}")
    kind, config = event
    # type, size, config, period, sample type, read format, flags; the rest 0.
    attributes = struct.pack("=IIQQQQQ", kind, ATTR_SIZE_VER0, config, 0, 0, 0, flags)
    buffer = ctypes.create_string_buffer(attributes, ATTR_SIZE_VER0)
    libc = ctypes.CDLL(None, use_errno=True)
    this_thread, any_cpu, no_group, close_on_exec = 0, -1, -1, 8
    arguments = (this_thread, any_cpu, no_group, ctypes.c_ulong(close_on_exec))
    descriptor = libc.syscall(ctypes.c_long(number), buffer, *arguments)
    if descriptor < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    try:
        sum(range(1000))
        return int.from_bytes(os.read(descriptor, 8), "little")
    finally:
        os.close(descriptor)
