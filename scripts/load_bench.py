#!/usr/bin/python3 -Es
"""Benchmarks of the load generator: against wrk, against its schedule, and against known latencies."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "python"))

if __name__ == "__main__":
    from spawnpool.load_bench import main

    sys.exit(main(sys.argv[1:]))
