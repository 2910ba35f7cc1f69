"""spawnpool-load in open loop finds out the delays of a server that was told which to have.

The machine may be busy with something else. What that does to the server is a part of the truth. For
how long the generator was kept from running is measured, and a run in which that was long says nothing
of the generator: it is excluded for that cause. Of what happens between the two, as an interrupt that
holds up a packet, nobody tells: a quantile with ten samples above it does not move by one of them, and is
judged by the median of its errors over the runs. One with fewer is judged by the least error: chance has
to spare one run, whereas an error of the generator is in each."""
import json
import os
import signal
import statistics
import subprocess
import time

import numpy as np
import pytest

from spawnpool import paths
from spawnpool.generators import load_command
from spawnpool.load_truth import (
    DESIGNS,
    QUANTILES,
    Design,
    Log,
    Outcome,
    closed_loops,
    measure,
    quantiles_us,
    tolerance_us,
    true_latencies,
)
from spawnpool.local_server import LocalServer, cpus_apart

pytestmark = pytest.mark.alone

RUNS = 3  # at least
MOST_RUNS = 12
SAMPLES_ABOVE = 10  # that a quantile does not hang on the fate of one request
MS = 1_000_000


def _log(arrived: list[int], delay: list[int], late: int = 0, start: int = 0) -> Log:
    """Each answer goes out `late` ns after its programmed delay."""
    times = [np.array(column, dtype=np.int64) for column in (arrived, delay)]
    return Log(times[0], times[1], times[0] + times[1] + late, start)


def _design(**changes: object) -> Design:
    return Design(**{**_PLAIN, **changes})  # type: ignore[arg-type]


_PLAIN = {
    "name": "one",
    "server": (),
    "rate": 100.0,
    "arrivals": "uniform",
    "duration_s": 1.0,
    "connections": 1,
}


def test_without_stalls_the_delays_are_the_latencies() -> None:
    log = _log([5 * MS, 15 * MS, 25 * MS], [7 * MS, 3 * MS, 5 * MS])
    assert list(true_latencies(_design(), log)) == [3 * MS, 5 * MS, 7 * MS]
    assert list(true_latencies(_design(arrivals="poisson"), log)) == [3 * MS, 5 * MS, 7 * MS]


def test_what_the_server_did_late_is_true() -> None:
    log = _log([5 * MS, 15 * MS], [7 * MS, 3 * MS], late=MS)
    assert list(true_latencies(_design(), log)) == [4 * MS, 8 * MS]


def test_a_late_arrival_counts_from_when_it_was_due() -> None:
    # The second of three requests came 6 ms late, in a freeze that ended at 21 ms.
    log = _log([5 * MS, 21 * MS, 25 * MS], [0, 0, 0])
    assert list(true_latencies(_design(), log, (14 * MS, 21 * MS))) == [0, 0, 6 * MS]


def test_what_falls_into_a_stall_waits_for_its_end() -> None:
    # Stalls from 1100 to 1200 ms and from 2100 to 2200 ms.
    log = _log([1090 * MS, 1100 * MS, 1150 * MS, 1200 * MS], [0, 0, 60 * MS, 0], start=200 * MS)
    design = _design(arrivals="poisson", stall_s=0.1)
    assert list(true_latencies(design, log)) == [0, 0, 60 * MS, 100 * MS]


def test_quantiles_are_nearest_ranks() -> None:
    latencies = np.arange(1, 1001, dtype=np.int64) * 1000
    assert quantiles_us(latencies) == {
        "p50": 500,
        "p90": 900,
        "p99": 990,
        "p99_9": 999,
        "max": 1000,
    }
    assert quantiles_us(latencies[:1])["p99"] == 1


def test_a_generator_tells_for_how_long_it_was_kept_from_running() -> None:
    with LocalServer([paths.binary("spawnpool-answerer")]) as server:
        options = ["--rate", "100", "--duration", "600ms", "--warmup", "50ms"]
        options += ["--pacing", "busy-poll", "--connections", "1", "--events"]
        command = load_command(server.url, *options)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            while json.loads(process.stdout.readline())["event"] != "window-begin":
                pass
            for _ in range(3):  # one may come while it works, which is not told from work
                process.send_signal(signal.SIGSTOP)
                os.waitid(os.P_PID, process.pid, os.WSTOPPED)
                began = time.monotonic()
                while time.monotonic() - began < 0.05:
                    pass
                process.send_signal(signal.SIGCONT)
                os.waitid(os.P_PID, process.pid, os.WCONTINUED)
            words, _ = process.communicate(timeout=60)
    generator = json.loads(words.strip().splitlines()[-1])["load"]["generator"]
    assert generator["away_us"] >= 50_000


def _misses(outcomes: list[Outcome]) -> list[tuple[str, list[float]]]:
    """The quantiles that were not found out, with their errors in the runs, µs."""
    misses = []
    for name, share in QUANTILES.items():
        errors = [outcome.errors[name] for outcome in outcomes]
        sizes = [abs(error) for error in errors]
        above = min((1 - share) * outcome.requests for outcome in outcomes)
        error = statistics.median(sizes) if above >= SAMPLES_ABOVE - 1e-9 else min(sizes)
        if error > statistics.median(tolerance_us(outcome.truth[name]) for outcome in outcomes):
            misses.append((name, errors))
    return misses


def _outcome(**errors: float) -> Outcome:
    """Of 1000 requests, whose true latencies are 10 ms each."""
    truth = dict.fromkeys(QUANTILES, 10_000.0)
    measured = {name: value + errors.get(name, 0) for name, value in truth.items()}
    return Outcome(truth, measured, {}, 1000, {}, 0)


def test_what_is_wrong_in_each_run_is_a_miss() -> None:
    one, other = _outcome(p99=150, max=150), _outcome(max=2000)
    assert not _misses([one, other, _outcome()])
    assert [name for name, _ in _misses([one, other, one])] == ["p99", "max"]
    assert [name for name, _ in _misses([_outcome(p50=-101)] * 3)] == ["p50"]


@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: str(design.name))
def test_an_open_loop_measures_the_truth(design: Design) -> None:
    cpus = cpus_apart()
    if cpus is None:
        pytest.skip("one CPU: the generator needs a core of its own to measure the truth")
    outcomes: list[Outcome] = []
    excluded: list[float] = []
    for seed in range(MOST_RUNS):
        outcome = measure(design, cpus, seed)
        counts = outcome.report["load"]["counts"]
        assert outcome.report["load"]["generator"]["pacing"] == "busy-poll"
        assert counts["intended"] == counts["sent"] == counts["answered"] == outcome.requests
        assert outcome.counters["answers"] == outcome.requests and outcome.counters["lost"] == 0
        if outcome.disturbed(design):
            excluded.append(outcome.away_us)
        else:
            outcomes.append(outcome)
        if len(outcomes) >= RUNS and not _misses(outcomes):
            break
        if not outcomes and len(excluded) == 2 * RUNS:
            break
    if len(outcomes) < RUNS:
        pytest.skip(
            "other processes had the CPU: the generator needs a core of its own to measure the truth "
            f"(kept from running for {statistics.median(excluded) / 1000:.1f} ms in a run)"
        )
    print(design.name, "away:", [round(run.away_us) for run in outcomes], "excluded:", excluded)
    for name in QUANTILES:
        print(name, [round(outcome.errors[name]) for outcome in outcomes])
    assert not _misses(outcomes)


@pytest.mark.parametrize("design", DESIGNS[-2:], ids=lambda design: str(design.name))
def test_a_closed_loop_misses_what_a_stall_costs(design: Design) -> None:
    cpus = cpus_apart()
    if cpus is None:
        pytest.skip("one CPU: the generator needs a core of its own to measure the truth")
    truth = measure(design, cpus).truth["p99"]
    assert truth > 100_000
    # wrk adds to its record, when it is done, the latencies that it would have expected to see.
    closed = closed_loops(design, cpus)["spawnpool-load"]
    assert closed["p99"] < truth / 4
    assert closed["max"] > truth / 4, "the stall was there"
