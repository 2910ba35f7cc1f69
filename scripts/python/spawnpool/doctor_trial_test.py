from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spawnpool.child import Interruption
from spawnpool.documents import Json
from spawnpool.doctor_trial import COUNTERS, examine_trial, judge
from spawnpool.finding import Finding
from spawnpool.lock import machine_lock
from spawnpool.testing import example_result


def example_trial() -> Json:
    trial: Json = example_result()["trials"][0]
    trial["machine"] = {"foreign_cpu_share": 0.01, "steal_share": 0.0}
    return trial


def judged(result: Json) -> dict[str, Finding]:
    return {finding.name: finding for finding in judge(result)}


def leaves(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}")
    else:
        yield path


def test_every_counter_has_fields_in_a_trial() -> None:
    fields = list(leaves(example_trial()["server"], "server"))
    for counter in COUNTERS:
        for beginning in counter.fields:
            assert (
                any(f.startswith(beginning) for f in fields) or beginning == "machine."
            ), beginning


def test_each_null_goes_to_the_counter_it_comes_from() -> None:
    trial = example_trial()
    trial["unmeasured"] = {
        "load.wait_us": "closed loop",
        "server.rss_peak_bytes": "no clear_refs",
        "server.syscalls_per_request": "may not trace: Operation not permitted",
        "server.syscalls_by_name": "may not trace: Operation not permitted",
        "server.run_queue_wait_us_per_request": "taskstats: no",
    }
    found = judged(trial)
    assert found["ptrace"].found == "may not trace: Operation not permitted"
    assert found["ptrace"].null_fields == ("server.syscalls_per_request", "server.syscalls_by_name")
    assert found["taskstats"].null_fields == ("server.run_queue_wait_us_per_request",)
    assert found["costs"].null_fields == ("server.rss_peak_bytes",)
    assert found["valgrind"].state == found["allocations"].state == "ok"


def test_a_trial_that_does_not_count_is_limited_and_one_that_failed_is_needed() -> None:
    trial = example_trial()
    assert judged(trial)["trial"].state == "ok"
    invalid = {
        **trial,
        "status": "invalid",
        "reasons": [{"code": "generator-bound", "message": "the generator was the limit"}],
    }
    found = judged(invalid)["trial"]
    assert (found.state, found.found) == ("limited", "the generator was the limit")
    trial = {
        **invalid,
        "status": "failed",
        "reasons": [{"code": "target-died", "message": "the target died"}],
    }
    found = judged(trial)["trial"]
    assert (found.state, found.found, found.needed) == ("missing", "the target died", True)
    assert judged(trial)["ptrace"].found == "not tried: it takes a trial"


def test_what_others_take_is_told() -> None:
    trial = example_trial()
    assert judged(trial)["load"].state == "ok"
    trial["machine"]["steal_share"] = 0.02
    found = judged(trial)["load"]
    assert (found.state, found.mend) == ("limited", "")  # nothing within the machine mends it


def test_a_trial_that_cannot_be_run_names_the_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPAWNPOOL_BUILD", str(tmp_path))
    with Interruption() as interruption:
        found = {finding.name: finding for finding in examine_trial(interruption)}
    assert found["trial"].needed and "build it with 'cmake" in found["trial"].found


def test_a_machine_that_is_measured_is_left_alone() -> None:
    with Interruption() as interruption, machine_lock():
        found = {finding.name: finding for finding in examine_trial(interruption)}
    assert found["trial"].state == "missing"
    assert "this machine is measured already: by process" in found["trial"].found
