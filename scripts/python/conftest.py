"""Tests measure beside each other: each session has a lock of its own instead of the machine's."""
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True, scope="session")
def _own_lock() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as directory:
        os.environ["SPAWNPOOL_LOCK"] = str(Path(directory) / "spawnpool.lock")
        yield
        del os.environ["SPAWNPOOL_LOCK"]
