"""One measurement at a time on a machine: two would share its cores and tell nothing true."""
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from spawnpool.errors import UsageError

# The same for every user, hence not in a directory that the environment may name.
LOCK = Path("/tmp/spawnpool.lock")


def lock_path() -> Path:
    """The machine's lock file: SPAWNPOOL_LOCK, for tests, by default /tmp/spawnpool.lock."""
    return Path(os.environ.get("SPAWNPOOL_LOCK") or LOCK)


@contextmanager
def machine_lock() -> Iterator[None]:
    """While entered, no other process has this machine's lock. It ends with its process, however that
    ends, and no child inherits it. UsageError, which says who has it, when another has.

    The file is only opened for reading, never written or followed where it is a link: in a directory
    that everybody may write to, it may have been put there by anybody."""
    path = lock_path()
    try:
        descriptor = _locked(path)
    except OSError as error:
        raise UsageError(
            f"cannot lock {path}: {error.strerror}; remove what is there, if nothing is measured now"
        ) from error
    try:
        yield
    finally:
        os.close(descriptor)


def _locked(path: Path) -> int:
    while True:
        descriptor = _opened(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.lstat(path)):
                return descriptor
        except FileNotFoundError:
            pass  # removed between opening and locking, as when /tmp is cleaned: once more
        except BlockingIOError as error:
            held = os.fstat(descriptor)
            os.close(descriptor)
            raise UsageError(
                f"this machine is measured already: {_holder(held)}; wait for its end"
            ) from error
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _opened(path: Path) -> int:
    """The lock file for reading, which is enough to lock it; made where it is not there. (Linux refuses
    O_CREAT of another's file in a directory with the sticky bit, so that it is left out at first.)
    """
    # A FIFO would have this process wait.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    while True:
        try:
            descriptor = os.open(path, flags)
        except FileNotFoundError:
            try:
                descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o444)
            except FileExistsError:
                continue  # another process was faster
            os.fchmod(descriptor, 0o444)  # whatever the umask: another user is to open it, too
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file")


def _holder(file: os.stat_result) -> str:
    """Who holds the lock on a file: process, command and since when it runs, as far as /proc tells."""
    identity = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()
        if fields[1] == "FLOCK" and fields[5] == identity:
            return _described(int(fields[4]))
    return "by a process that this one cannot see"


def _described(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        command = " ".join(os.fsdecode(word) for word in words if word)
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = next(
            int(line.split()[1])
            for line in Path("/proc/stat").read_text().splitlines()
            if line.startswith("btime ")
        )
    except (OSError, StopIteration):
        return f"by process {pid}"
    started = boot + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    since = datetime.fromtimestamp(started, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"by process {pid} ('{command}') since {since}"
