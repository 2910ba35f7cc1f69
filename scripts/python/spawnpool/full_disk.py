"""A disk without room, for tests: the kernel refuses files above a size."""
import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_room(above: int) -> Iterator[None]:
    """While entered, this process cannot write beyond so many bytes of a file (EFBIG)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (above, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
