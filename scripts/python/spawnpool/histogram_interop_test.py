"""Our histograms and those of HdrHistogram's reference implementation (Java) are read by both."""
import json
import random
import subprocess
from collections.abc import Sequence

import pytest

from spawnpool import paths
from spawnpool.documents import Json
from spawnpool.generators import run_load
from spawnpool.histogram import decode
from spawnpool.local_server import LocalServer

JAR = "/usr/share/java/hdrhistogram.jar"
SOURCE = paths.ROOT / "harness" / "load" / "testing" / "HistogramRoundTrip.java"
BOUND_S = 60.0
SHARES = (0.0, 0.001, 0.07, 0.5, 0.9, 0.99, 0.999, 0.99999, 1.0)


def _lines(command: Sequence[object], text: str) -> list[Json]:
    done = subprocess.run(
        [str(word) for word in command],
        input=text,
        capture_output=True,
        text=True,
        timeout=BOUND_S,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def _theirs(recordings: Sequence[Sequence[tuple[int, int]]]) -> list[Json]:
    """What the reference implementation makes of values and their counts, coded by it."""
    lines = [" ".join(f"{value}x{count}" for value, count in pairs) for pairs in recordings]
    return _lines(["java", "-cp", JAR, SOURCE, "record"], "\n".join(lines) + "\n")


def _read_by_them(coded: Sequence[str]) -> list[Json]:
    return _lines(["java", "-cp", JAR, SOURCE, "decode"], "\n".join(coded) + "\n")


def _read_by_us(coded: Sequence[str]) -> list[Json]:
    program = paths.testing_binary("spawnpool-histogram-recoder")
    return _lines([program], "\n".join(coded) + "\n")


def _same(ours: Json, theirs: Json) -> None:
    assert ours["mean"] == pytest.approx(theirs["mean"], rel=1e-12)
    for key in ("count", "min", "max", "quantiles"):
        assert ours[key] == theirs[key]


def _recordings() -> list[list[tuple[int, int]]]:
    draw = random.Random(4)
    edges = [0, 1, 2047, 2048, 2049, 4095, 4096, 3_599_999_999, 3_600_000_000]
    few = [[(edge, 1)] for edge in edges] + [[(edge, 2**40 + 1) for edge in edges]]
    return few + [
        [
            (min(int(draw.lognormvariate(spread, spread / 3)), 3_600_000_000), draw.randint(1, 9))
            for _ in range(2000)
        ]
        for spread in (3, 7, 10, 14)
    ]


def test_both_ways() -> None:
    theirs = _theirs(_recordings())
    ours = _read_by_us([line["coded"] for line in theirs])
    again = _read_by_them([line["coded"] for line in ours])
    assert len(theirs) == len(ours) == len(again) == len(_recordings())
    for recorded, read, back in zip(theirs, ours, again):
        _same(read, recorded)
        # Not one bucket differs after the way there and back.
        assert {**back, "coded": ""} == {**recorded, "coded": ""}
        assert decode(recorded["coded"]).total == recorded["count"]


def test_they_read_the_report_of_a_load() -> None:
    command = [paths.binary("spawnpool-answerer")]
    with LocalServer(command) as server:
        load = run_load(server.url, "--duration", "300ms", "--rate", 2000, within_s=BOUND_S)["load"]
    names = ("latency", "wait", "first_byte")
    read = _read_by_them([load[f"{name}_histogram"] for name in names])
    for name, theirs in zip(names, read):
        assert theirs["count"] == load["counts"]["answered"] > 0
        quantiles = dict(zip(SHARES, theirs["quantiles"]))
        reported = load[f"{name}_us"]
        assert reported["max"] == theirs["max"]
        assert reported["mean"] == pytest.approx(theirs["mean"], rel=1e-9)
        for key, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99_9", 0.999)):
            assert reported[key] == quantiles[share]
