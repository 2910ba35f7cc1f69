"""Runs the real spawnpool-micro, with benchmarks of a millisecond."""
import math
import subprocess
from pathlib import Path

import pytest

from spawnpool import paths
from spawnpool.child import Interruption
from spawnpool.documents import Json
from spawnpool.errors import UsageError
from spawnpool.micro import micro_done, micro_failures, micro_medians, micro_names, micro_planned
from spawnpool.micro import run_micro
from spawnpool.testing import example_micro

ROUTES = ["route/static_path", "route/parameter", "route/wildcard", "route/miss"]


def _asked(pattern: str = "^route/") -> Json:
    return {"filter": pattern, "min_time": "1ms", "repetitions": 3}


def _run(asked: Json, index: int = 0) -> list[Json]:
    names = micro_names(asked)
    runs = run_micro(names, asked, index, Interruption())
    assert runs is not None
    return runs


@pytest.fixture(name="wrapped")
def _wrapped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A build whose spawnpool-micro lists what the real one has, and else runs the lines that a test
    writes to this file, in which $real is the real one."""
    lines = tmp_path / "lines.sh"
    script = tmp_path / "bin" / "spawnpool-micro"
    script.parent.mkdir()
    script.write_text(
        f"#!/bin/sh\nreal={paths.binary('spawnpool-micro')}\n"
        f'case "$*" in *list_tests*) exec $real "$@" ;; esac\n. {lines}\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("SPAWNPOOL_BUILD", str(tmp_path))
    return lines


def test_a_filter_finds_benchmarks_by_a_part_of_their_names() -> None:
    assert micro_names(_asked()) == ROUTES
    assert micro_names(_asked("^route/(miss|param)")) == ["route/parameter", "route/miss"]


@pytest.mark.parametrize("pattern", ["no_such", "("])
def test_a_filter_that_finds_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(UsageError) as error:
        micro_names(_asked(pattern))
    assert str(error.value).startswith(f"micro.filter: '{pattern}' is no regular expression")


def test_without_the_program_the_build_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SPAWNPOOL_BUILD", str(tmp_path))
    with pytest.raises(UsageError, match="bin/spawnpool-micro is missing: build it with"):
        micro_names(_asked())


@pytest.mark.parametrize(
    "flag, line",
    [
        ("--frobnicate", "unknown option '--frobnicate' (see spawnpool-micro --help)"),
        (
            "--benchmark_filter=no_such",
            "nothing to run (see spawnpool-micro --benchmark_list_tests)",
        ),
    ],
)
def test_the_program_exits_2_and_says_the_mend(flag: str, line: str) -> None:
    done = subprocess.run(
        [paths.binary("spawnpool-micro"), flag], capture_output=True, text=True, timeout=20
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == f"spawnpool-micro: {line}"


def test_every_benchmark_is_an_entry_with_its_times_and_allocations() -> None:
    runs = _run(_asked("^(route|write_response)/"), 2)
    assert [run["name"] for run in runs] == [
        *ROUTES,
        *(f"write_response/{form}" for form in ("prepared", "beast", "beast_arena")),
    ]
    for run in runs:
        assert (run["repetition_index"], run["repetitions"]) == (2, 3)
        assert not run["error_occurred"] and run["unmeasured"] == {}
        assert run["real_time"] > 0 and run["cpu_time"] > 0 and run["iterations"] > 0
        # Beast keeps four fields on the heap; all others have no need of it.
        on_heap = run["name"] == "write_response/beast"
        assert run["allocs_per_iter"] == (4 if on_heap else 0), run["name"]
        assert (run["max_bytes_used"] > 0) == on_heap


def test_the_pool_with_reused_memory_allocates_nothing_for_a_connection() -> None:
    runs = _run(_asked("^connection_life/worker_pool_reused/"))
    assert [run["allocs_per_iter"] for run in runs] == [0, 0]
    (one, ten) = _run(_asked("^connection_life/worker_pool_fresh/"))
    assert ten["allocs_per_iter"] > one["allocs_per_iter"] > 0


def test_allocations_that_are_not_counted_are_null_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BENCHMARK_REPETITIONS", "1")  # where more could be, it counts none
    for run in _run(_asked()):
        assert run["allocs_per_iter"] is None and run["max_bytes_used"] is None
        assert set(run["unmeasured"]) == {"allocs_per_iter", "max_bytes_used"}
        assert run["real_time"] > 0


def test_an_error_of_a_benchmark_leaves_its_numbers_out_and_the_others_in(wrapped: Path) -> None:
    # Descriptors for what is made ahead, and one too few for a connection.
    wrapped.write_text('exec prlimit --nofile=5 $real "$@"')
    route, life = _run(_asked("^route/miss|worker_pool_reused/requests:1/"))
    assert route["real_time"] > 0
    assert life["error_occurred"]
    assert life["error_message"] == "a connection was not served to its end"
    for key in ("iterations", "real_time", "cpu_time", "allocs_per_iter", "max_bytes_used"):
        assert life[key] is None and life["unmeasured"][key] == life["error_message"]
    (line,) = micro_failures([route, life])
    assert line.startswith("failed: connection_life/worker_pool_reused/requests:1/")
    assert line.endswith(": a connection was not served to its end")


@pytest.mark.parametrize(
    "lines, message",
    [
        ("echo oh >&2; kill -SEGV $$", "was ended by SIGSEGV; stderr: oh"),
        ("exit 3", "exited 3"),
        ("echo no JSON", "printed no report of Google Benchmark: "),
        ('exec $real "$@" --benchmark_filter=route/miss', "ran 1 of 4 benchmarks"),
        ("rm $0; exec $0", "exited "),
    ],
)
def test_a_program_that_fails_is_an_entry_by_its_own_name(
    wrapped: Path, lines: str, message: str
) -> None:
    wrapped.write_text(lines)
    (run,) = _run(_asked(), 1)
    assert run["name"] == "spawnpool-micro" and run["repetition_index"] == 1
    assert run["error_message"].startswith(f"spawnpool-micro {message}")
    assert run["real_time"] is None
    assert micro_failures([run])[0].startswith(
        f"failed: spawnpool-micro: spawnpool-micro {message}"
    )


def test_a_program_that_is_gone_is_an_entry_too(wrapped: Path) -> None:
    names = micro_names(_asked())
    paths.binary("spawnpool-micro").unlink()
    runs = run_micro(names, _asked(), 0, Interruption())
    assert runs is not None
    assert "cannot be started: No such file" in runs[0]["error_message"]


def test_medians_are_of_the_runs_without_an_error_in_nanoseconds() -> None:
    micro = example_micro({"filter": ".", "min_time": "1ms", "repetitions": 3})
    first, second = micro_medians(micro)
    assert (first.name, len(first.real_times)) == ("route/miss", 3)
    assert (second.name, len(second.real_times)) == ("hand_off/worker", 3)  # without /manual_time
    times = [entry["real_time"] for entry in micro if entry["run_name"] == "route/miss"]
    assert first.real_time == sorted(times)[1]
    assert first.real_times == times

    for entry in micro:
        entry["time_unit"] = "us"
    scaled = micro_medians(micro)[0].real_time
    assert scaled is not None and first.real_time is not None
    assert math.isclose(scaled, 1000 * first.real_time)

    for entry in micro:
        if entry["run_name"] == "route/miss":
            entry.update(error_occurred=True, real_time=None, cpu_time=None, allocs_per_iter=None)
    failed = micro_medians(micro)[0]
    assert (failed.real_times, failed.real_time, failed.allocations) == ([], None, None)


def test_what_is_planned_and_done_is_told_by_repetitions() -> None:
    asked = _asked()
    assert list(micro_planned({"micro": asked})) == [0, 1, 2] and not micro_planned({})
    assert micro_done(example_micro(asked)) == {0, 1, 2} and micro_done([]) == set()
