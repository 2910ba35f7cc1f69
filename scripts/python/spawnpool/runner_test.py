"""Runs real suites: real servers, real load, real signals. The windows are short."""
import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from spawnpool import paths
from spawnpool.calibration import saturations
from spawnpool.documents import Json
from spawnpool.histogram import decode
from spawnpool.metrics import METRICS
from spawnpool.plan import trial_key
from spawnpool.results import ResultSchema, read_result
from spawnpool.suite import load_suite

COMMAND = paths.ROOT / "scripts" / "spawnpool"
PATIENCE = 60.0  # seconds; a test machine may be busy


# 100 µs of work: the server is the limit, whoever sends the requests.
WORK = {"method": "GET", "path": "/work?us=100"}


def _suite(directory: Path, **changes: Any) -> Path:
    """`quick` with windows of 250 ms, few connections, work and these changes, as a file."""
    suite = load_suite("quick")
    for scenario in suite["scenarios"]:
        scenario.update(_asked())
    # A window in which a busy machine lets nobody answer is no measurement: it is not to be too short.
    suite.update(name="tiny", warmup="100ms", duration="250ms", timeout="5s", blocks=1)
    suite["accounting"] = {"connections": 4, "requests_per_connection": 5}
    suite.update(changes)
    path = directory / "tiny.json"
    path.write_text(json.dumps(suite))
    return path


def _asked() -> Json:
    expect = {"status": 200, "body": "done\n"}
    return {"request": WORK, "expect": expect, "points": [{"connections": 4}]}


def _keep_alive(**changes: Any) -> list[Json]:
    return [{**load_suite("quick")["scenarios"][0], **_asked(), **changes}]


def _run(*words: object, **options: Any) -> "subprocess.CompletedProcess[str]":
    command = [str(word) for word in (COMMAND, "run", *words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, **options)


def _result(path: Path) -> Json:
    return read_result(path, ResultSchema())


def _ended(done: "subprocess.CompletedProcess[str]", out: Path) -> Json:
    """The result of a run whose exit status is that of its trials.

    What is not tested with it is whether they are valid: on a busy machine one may not be."""
    result = _result(out)
    statuses = {trial["status"] for trial in result["calibration"] + result["trials"]}
    assert done.returncode == (0 if statuses == {"valid"} else 1), done.stderr
    assert len(result["trials"]) == len(result["suite"]["planned"])
    return result


def _await(what: str, condition: Callable[[], Any]) -> Any:
    """Looks until the condition holds, and gives what it gave."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.005)
    raise AssertionError(f"not within {PATIENCE:.0f} s: {what}")


def _descendants(pid: int) -> set[tuple[int, str]]:
    """The processes below a process, each with its start time, which makes a pid unique."""
    found = set()
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            children = (task / "children").read_text().split()
        except OSError:
            continue
        for child in map(int, children):
            found |= {(child, _start_time(child))} | _descendants(child)
    return found


def _start_time(pid: int) -> str:
    """When a process started; "" for one that is gone or only waits to be reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _names(processes: set[tuple[int, str]]) -> set[str]:
    names = set()
    for pid, _ in processes:
        try:
            names.add(Path(f"/proc/{pid}/comm").read_text().strip())
        except OSError:
            continue
    return names


@contextmanager
def _started(
    *words: object, env: dict[str, str] | None = None
) -> Iterator["subprocess.Popen[str]"]:
    """A run in a process group of its own, ended in any case."""
    command = [str(word) for word in (COMMAND, "run", *words)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _await_load(process: "subprocess.Popen[str]") -> set[tuple[int, str]]:
    """Waits until the run has finished a trial and loads a server in the next."""
    assert process.stderr is not None
    assert process.stderr.readline().startswith("[1/")

    def under_load() -> set[tuple[int, str]]:
        processes = _descendants(process.pid)
        return processes if "spawnpool-load" in _names(processes) else set()

    found: set[tuple[int, str]] = _await("a trial under load", under_load)
    return found


@pytest.mark.parametrize("driver", ["builtin", "wrk"])
def test_a_run_ends_in_a_table_and_a_valid_result(tmp_path: Path, driver: str) -> None:
    out = tmp_path / "result.json"
    done = _run(_suite(tmp_path), "--out", out, "--seed", 5, "--driver", driver)
    assert (done.returncode, done.stderr.count("\n")) == (0, 8), done.stderr
    result = _result(out)
    assert result["suite"]["seed"] == 5 and result["suite"]["pairs"] == 2
    assert [trial_key(t) for t in result["trials"]] == list(
        map(trial_key, result["suite"]["planned"])
    )
    for trial in result["trials"]:
        assert trial["status"] == "valid" and trial["load"]["requests"] > 0
        assert trial["driver"] == driver
        histogram = decode(trial["load"]["latency_histogram"])
        assert histogram.total == trial["load"]["requests"]
        # The histogram keeps three digits.
        for share, name in ((0.5, "p50"), (0.99, "p99"), (1.0, "max")):
            stated = trial["load"]["latency_us"][name]
            assert histogram.quantiles([share])[0] == pytest.approx(stated, rel=1e-3)
    for entry in result["summary"]:
        for target in entry["targets"]:
            told = [target["metrics"][m.path] for m in METRICS if not m.situational]
            assert all(metric["median"] is not None for metric in told)
        assert entry["comparisons"][0]["ratios"]["load.throughput_rps"]["pairs"] == 2
    assert "keep-alive, connections 4" in done.stdout and "churn, connections 4" in done.stdout
    assert str(out) in done.stdout
    for command in ("plot", "report"):
        drawn = subprocess.run(
            [COMMAND, command, out, "--out", tmp_path / command], timeout=PATIENCE, check=True
        )
        assert drawn.returncode == 0


@pytest.mark.parametrize(
    "number, to_group, status",
    [
        (signal.SIGINT, True, 130),  # as Ctrl-C on a terminal does
        (signal.SIGINT, False, 130),
        (signal.SIGTERM, False, 143),
        (signal.SIGHUP, True, 129),
        (signal.SIGKILL, False, -9),
    ],
)
def test_an_interrupted_run_keeps_its_trials_leaves_no_process_and_goes_on(
    tmp_path: Path, number: signal.Signals, to_group: bool, status: int
) -> None:
    suite, out = _suite(tmp_path, scenarios=_keep_alive(), warmup="1s"), tmp_path / "result.json"
    command = (suite, "--out", out, "--set", "timeout=4s")
    with _started(*command) as process:
        processes = _await_load(process)
        assert {"spawnpool-trial", "spawnpool-serve", "spawnpool-load"} <= _names(processes)
        (os.killpg if to_group else os.kill)(process.pid, number)
        _, words = process.communicate(timeout=PATIENCE)
        assert process.returncode == status, words
    _await("the end of every process", lambda: not any(_start_time(p) == t for p, t in processes))

    before = _result(out)["trials"]
    assert len(before) == 1
    if number != signal.SIGKILL:
        assert f"{out} holds 1 of 4 trials" in words
        resume = words.splitlines()[-1].split()
        assert resume[0] == "scripts/spawnpool" and resume[1] == "run"
        done = _run(*resume[2:])
    else:
        done = _run(*command, "--resume")
    assert done.stderr.startswith("[2/4]"), done.stderr
    after = _ended(done, out)
    assert after["trials"][0] == before[0]
    assert [trial_key(t) for t in after["trials"]] == list(
        map(trial_key, after["suite"]["planned"])
    )

    assert after["run"]["settings"] == ["timeout=4s"]
    assert "'timeout' differs" in _refused(_run(suite, "--out", out, "--resume"))

    again = _run(*command, "--resume")  # nothing is left to do
    assert "[" not in again.stderr
    assert _ended(again, out)["trials"] == after["trials"]


def test_a_crash_of_a_trial_is_recorded_and_the_others_go_on(tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    with _started(_suite(tmp_path, scenarios=_keep_alive(), warmup="1s"), "--out", out) as process:
        processes = _await_load(process)
        (trial,) = (pid for pid, _ in processes if _names({(pid, "")}) == {"spawnpool-trial"})
        os.kill(trial, signal.SIGKILL)
        _, words = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1, words
    _await("the end of every process", lambda: not any(_start_time(p) == t for p, t in processes))
    result = _result(out)
    crashed = [
        any(reason["code"] == "trial-crashed" for reason in trial["reasons"])
        for trial in result["trials"]
    ]
    assert crashed == [False, True, False, False]
    (reason,) = result["trials"][1]["reasons"]
    assert reason["code"] == "trial-crashed"
    assert reason["message"].startswith("spawnpool-trial was ended by SIGKILL")
    whole = all(trial["status"] == "valid" for trial in result["trials"][2:])
    (comparison,) = result["summary"][0]["comparisons"]
    assert comparison["ratios"]["load.throughput_rps"]["pairs"] == int(whole)


def test_a_build_of_another_version_ends_the_run_with_the_mend(tmp_path: Path) -> None:
    build, out = tmp_path / "build", tmp_path / "result.json"
    (build / "bin").mkdir(parents=True)
    (build / "lib").symlink_to(paths.build_dir() / "lib")
    for program in paths.bin_dir().iterdir():
        (build / "bin" / program.name).symlink_to(program)
    trial = build / "bin" / "spawnpool-trial"
    trial.unlink()
    trial.write_text(
        f"#!/bin/sh\n'{paths.binary('spawnpool-trial')}' - | sed s/server_idle_share/idle/\n"
    )
    trial.chmod(0o755)
    suite = _suite(tmp_path, scenarios=_keep_alive())
    environment = {**os.environ, "SPAWNPOOL_BUILD": str(build)}
    words = _refused(_run(suite, "--out", out, env=environment))
    assert f"{trial} is of another version than these scripts (machine: " in words
    assert words.rstrip().endswith("build it again with 'cmake --build --preset release'")
    assert not out.exists()


def test_a_target_that_dies_fails_and_the_others_go_on(tmp_path: Path) -> None:
    script = "echo out of luck >&2; exit 3  # {port}"
    suite = _suite(
        tmp_path,
        scenarios=_keep_alive(),
        targets=[
            {"name": "worker-pool", "model": "worker-pool"},
            {"name": "dies", "command": ["/bin/sh", "-c", script]},
        ],
    )
    out = tmp_path / "result.json"
    done = _run(suite, "--out", out)
    assert done.returncode == 1
    result = _result(out)
    for trial in result["trials"]:
        if trial["target"] == "dies":
            assert trial["status"] == "failed" and trial["target_stderr"] == ["out of luck"]
            assert trial["reasons"][0]["code"] == "target-died-before-ready"
        else:
            assert trial["status"] == "valid"
    told = [
        line for line in done.stderr.splitlines() if line.startswith("spawnpool: failed: dies,")
    ]
    assert len(told) == 2 and "stderr: out of luck" in told[0]


def test_a_second_run_waits_for_nobody_and_says_who_measures(tmp_path: Path) -> None:
    suite, out = _suite(tmp_path, scenarios=_keep_alive(), warmup="1s"), tmp_path / "result.json"
    with _started(suite, "--out", out) as process:
        _await_load(process)
        line = _refused(_run("quick", "--out", tmp_path / "second.json"))
        assert f"this machine is measured already: by process {process.pid} ('" in line
        assert f"scripts/spawnpool run {suite}" in line
    assert not (tmp_path / "second.json").exists()


def test_a_dry_run_tells_the_plan_that_a_run_has(tmp_path: Path) -> None:
    suite, out = _suite(tmp_path, scenarios=_keep_alive()), tmp_path / "result.json"
    before = sorted(tmp_path.iterdir())
    done = _run(suite, "--out", out, "--seed", 9, "--dry-run", "--blocks", 2)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(tmp_path.iterdir()) == before
    lines = done.stdout.splitlines()
    assert lines[-2] == "drawn from --seed 9" and lines[-1].startswith("expected: ")
    result = _ended(_run(suite, "--out", out, "--seed", 9, "--set", "blocks=2"), out)
    targets = [trial["target"] for trial in result["trials"]]
    where = "keep-alive, connections 4"
    assert lines[0] == f"block 1, {where}: {', '.join(targets[:4])}"
    assert lines[1] == f"block 2, {where}: {', '.join(targets[4:])}"
    assert result["run"]["settings"] == ["blocks=2"] and result["run"]["ended_by"] == "complete"
    assert result["run"]["elapsed_s"] >= sum(trial["elapsed_s"] for trial in result["trials"]) - 0.1


def test_a_budget_fixes_the_blocks_before_the_run(tmp_path: Path) -> None:
    suite, out = _suite(tmp_path, scenarios=_keep_alive(), blocks=1000), tmp_path / "result.json"
    command = (suite, "--out", out, "--budget", "3s", "--targets", "worker-pool")
    done = _run(*command)
    result = _result(out)  # of a run that a busy machine may have ended before its last block
    blocks = result["suite"]["blocks"]
    assert 1 <= blocks < 10 and result["run"]["blocks_asked"] == 1000
    words = f"spawnpool: {blocks} of 1000 blocks fit into the budget of 3s: {2 * blocks} pairs"
    assert done.stderr.startswith(words)
    assert len(result["suite"]["planned"]) == 2 * blocks == result["suite"]["pairs"]
    assert result["run"]["expected_s"] <= 3
    assert "'budget' differs" in _refused(_run(*command[:3], *command[5:], "--resume"))
    line = _refused(_run(suite, "--budget", "100ms"))
    assert "not one block fits into the budget of 100ms: it takes " in line


def test_a_run_over_its_budget_ends_with_a_whole_block(tmp_path: Path) -> None:
    server = f"{paths.binary('spawnpool-server')} --model worker-pool --port {{port}}"
    slow = {"name": "slow", "command": ["sh", "-c", f"sleep 2; exec {server}"]}
    suite = _suite(
        tmp_path, scenarios=_keep_alive(), targets=[slow], accounting=None, blocks=2, budget="3s"
    )
    out = tmp_path / "result.json"
    done = _run(suite, "--out", out)
    assert done.returncode == 1
    result = _result(out)
    assert result["run"]["ended_by"] == "budget" and result["suite"]["blocks"] == 2
    assert [trial["block"] for trial in result["trials"]] == [0, 0]
    assert f"the budget of 3s is spent: {out} holds 2 of 4 trials; go on with" in done.stderr
    resumed = _run(*done.stderr.splitlines()[-1].split()[2:])
    assert _ended(resumed, out)["run"]["ended_by"] == "complete"


def test_a_run_until_resolved_ends_at_the_look_that_tells_all(tmp_path: Path) -> None:
    # Requests that wait 20 ms, four at once or one after the other: four times the throughput.
    waiting = {"request": {"method": "GET", "path": "/sleep?ms=20"}, "limits": {"error_share": 1}}
    suite = _suite(
        tmp_path,
        scenarios=_keep_alive(requests_per_connection=1, **waiting),
        targets=[
            {"name": "four", "model": "worker-pool", "options": ["--workers", "4"]},
            {"name": "one", "model": "worker-pool", "options": ["--workers", "1", "--queue", "9"]},
        ],
        accounting=None,
        metrics=[{"path": "server.cpu_us_per_request", "gate": "shown"}],
        blocks=5,
        until_resolved=10,
    )
    out = tmp_path / "result.json"
    done = _run(suite, "--out", out)
    result = _ended(done, out)
    assert "every verdict is told after 5 of at most 10 blocks" in done.stdout
    assert result["suite"]["looks"] == [5, 10] and result["suite"]["blocks"] == 5
    assert result["run"]["ended_by"] == "resolved" and len(result["trials"]) == 20
    compared = subprocess.run(
        [COMMAND, "compare", out], capture_output=True, text=True, timeout=PATIENCE
    )
    assert compared.returncode == 1 and "slower" in compared.stdout

    again = _run(suite, "--out", out, "--resume")  # nothing is left to do
    assert _ended(again, out)["run"]["ended_by"] == "resolved" and "[" not in again.stderr
    assert "'until_resolved' differs" in _refused(
        _run(suite, "--out", out, "--resume", "--until-resolved", 20)
    )


def test_only_wrong_answers_end_in_failed_trials_and_nothing_to_draw(tmp_path: Path) -> None:
    scenarios = _keep_alive()
    scenarios[0]["expect"] = {"status": 200, "body": "Good bye"}
    out = tmp_path / "result.json"
    done = _run(_suite(tmp_path, scenarios=scenarios), "--out", out)
    assert done.returncode == 1
    trials = _result(out)["trials"]
    assert {trial["reasons"][0]["code"] for trial in trials} == {"wrong-answer"}
    drawn = subprocess.run([COMMAND, "plot", out], capture_output=True, text=True, timeout=PATIENCE)
    assert drawn.returncode == 2 and "no valid trial to draw" in drawn.stderr


def test_the_seed_decides_the_order_and_targets_the_base(tmp_path: Path) -> None:
    suite = _suite(tmp_path, scenarios=_keep_alive(), accounting=None)
    orders = []
    for name in ("one", "two"):
        out = tmp_path / f"{name}.json"
        done = _run(
            suite, "--out", out, "--seed", 9, "--targets", "worker-pool,thread-per-connection"
        )
        result = _ended(done, out)
        orders.append([trial["target"] for trial in result["trials"]])
        assert result["summary"][0]["comparisons"][0]["base"] == "worker-pool"
    assert orders[0] == orders[1]
    single = tmp_path / "single.json"
    one_target = _run(suite, "--out", single, "--targets", "worker-pool")
    assert {trial["target"] for trial in _ended(one_target, single)["trials"]} == {"worker-pool"}
    assert "throughput" in one_target.stdout and "ratio  " not in one_target.stdout


def test_rates_are_fractions_of_a_saturation_that_is_measured_first(tmp_path: Path) -> None:
    sweep = _keep_alive(connections=4, points=[{"rate_fraction": 0.2}, {"rate_fraction": 0.5}])
    suite = _suite(tmp_path, scenarios=sweep, accounting=None)
    out = tmp_path / "result.json"
    with _started(suite, "--out", out) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("[1/14] calibration, ")
        process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=PATIENCE)
        assert process.returncode == 130, words
    before = _result(out)
    assert len(before["calibration"]) == 1 and before["trials"] == []
    assert f"{out} holds 1 of 14 trials" in words

    done = _run(suite, "--out", out, "--resume")
    assert done.stderr.startswith("[2/14] calibration, "), done.stderr
    result = _ended(done, out)
    assert result["calibration"][0] == before["calibration"][0]
    (saturation,) = saturations(result["suite"], result["calibration"])
    assert saturation.lowest is not None
    for trial in result["trials"]:
        rate = trial["point"]["rate"]
        assert rate == pytest.approx(saturation.lowest * trial["point"]["rate_fraction"], abs=0.1)
        if trial["status"] == "valid":
            # Poisson's arrivals of a quarter of a second: some hundreds, so not just the rate.
            assert trial["load"]["offered_rps"] == pytest.approx(rate, rel=0.5)
    assert {trial["load"]["offered_rps"] for trial in result["calibration"]} == {None}
    assert "saturation in closed loop" in done.stdout and "keep-alive, rate 20 %" in done.stdout


def test_a_fraction_of_what_nobody_could_measure_is_no_rate(tmp_path: Path) -> None:
    scenarios = _keep_alive(connections=4, points=[{"rate_fraction": 0.2}])
    scenarios[0]["expect"] = {"status": 200, "body": "Good bye"}
    out = tmp_path / "result.json"
    done = _run(_suite(tmp_path, scenarios=scenarios), "--out", out)
    result = _ended(done, out)
    assert {t["reasons"][0]["code"] for t in result["calibration"]} == {"wrong-answer"}
    assert {t["reasons"][0]["code"] for t in result["trials"]} == {"no-saturation"}


MICRO: Json = {"filter": "^route/miss$", "min_time": "1ms", "repetitions": 3}


def test_micro_benchmarks_run_after_the_trials_and_once(tmp_path: Path) -> None:
    suite = _suite(tmp_path, scenarios=_keep_alive(), accounting=None, micro=MICRO)
    out = tmp_path / "result.json"
    done = _run(suite, "--out", out, "--targets", "worker-pool")
    assert done.stderr.splitlines()[2].startswith(
        "[3/5] micro-benchmarks, repetition 1 of 3: 1 run"
    )
    result = _ended(done, out)
    assert [(run["name"], run["repetition_index"]) for run in result["micro"]] == [
        ("route/miss", index) for index in range(3)
    ]
    assert {run["allocs_per_iter"] for run in result["micro"]} == {0}
    assert "spawnpool-micro" in result["context"]["binaries"]
    assert "route/miss" in done.stdout

    again = _run(suite, "--out", out, "--targets", "worker-pool", "--resume")
    assert "[" not in again.stderr
    assert _ended(again, out)["micro"] == result["micro"]


def _await_micro(process: "subprocess.Popen[str]") -> int:
    """Waits until the trials and a repetition are done and spawnpool-micro runs again; its pid."""
    assert process.stderr is not None
    while "repetition 1 of 3" not in process.stderr.readline():
        assert process.poll() is None

    def running() -> list[int]:
        found = _descendants(process.pid)
        return [pid for pid, _ in found if _names({(pid, "")}) == {"spawnpool-micro"}]

    (pid,) = _await("spawnpool-micro", running)
    return int(pid)


def test_an_interrupted_repetition_is_run_again_and_no_other(tmp_path: Path) -> None:
    micro = {**MICRO, "min_time": "1s"}
    suite = _suite(tmp_path, scenarios=_keep_alive(), accounting=None, micro=micro)
    out, only = tmp_path / "result.json", ("--targets", "worker-pool")
    with _started(suite, "--out", out, *only) as process:
        child = _await_micro(process)
        process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=PATIENCE)
        assert process.returncode == 130, words
    assert not _start_time(child)
    before = _result(out)
    assert [run["repetition_index"] for run in before["micro"]] == [0]
    assert f"{out} holds 3 of 5 steps" in words
    done = _run(suite, "--out", out, *only, "--resume")
    assert done.stderr.startswith("[4/5] micro-benchmarks, repetition 2 of 3"), done.stderr
    after = _ended(done, out)
    assert after["micro"][0] == before["micro"][0] and after["trials"] == before["trials"]
    assert [run["repetition_index"] for run in after["micro"]] == [0, 1, 2]


def test_a_crash_of_the_micro_benchmarks_is_recorded_and_the_others_go_on(tmp_path: Path) -> None:
    micro = {**MICRO, "min_time": "1s"}
    suite = _suite(tmp_path, scenarios=_keep_alive(), accounting=None, micro=micro)
    out = tmp_path / "result.json"
    with _started(suite, "--out", out, "--targets", "worker-pool") as process:
        os.kill(_await_micro(process), signal.SIGSEGV)
        _, words = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1, words
    line = "spawnpool: failed: spawnpool-micro: spawnpool-micro was ended by SIGSEGV"
    assert line in words.splitlines()
    runs = [(run["name"], run["error_occurred"]) for run in _result(out)["micro"]]
    assert runs == [("route/miss", False), ("spawnpool-micro", True), ("route/miss", False)]


def test_a_filter_without_a_benchmark_ends_the_run_before_it_starts(tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    suite = _suite(tmp_path, micro={**MICRO, "filter": "^rout/"})
    assert "micro.filter: '^rout/' is no" in _refused(_run(suite, "--out", out))
    assert not out.exists()


def _refused(done: "subprocess.CompletedProcess[str]") -> str:
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    return done.stderr


def test_an_option_the_server_does_not_know_ends_the_run_before_it_starts(tmp_path: Path) -> None:
    target = {"name": "pool", "model": "worker-pool", "options": ["--wrokers", "3"]}
    out = tmp_path / "result.json"
    line = _refused(_run(_suite(tmp_path, targets=[target]), "--out", out))
    assert line.startswith("spawnpool: target 'pool': spawnpool-server: ") and "--wrokers" in line
    assert not out.exists()


def test_what_a_trial_refuses_ends_the_run_with_its_line(tmp_path: Path) -> None:
    suite = _suite(tmp_path, cpus={"server": [1023], "generator": [0]})
    out = tmp_path / "result.json"
    assert "1023" in _refused(_run(suite, "--out", out))
    assert not out.exists()


def test_a_build_that_changes_during_a_run_ends_it(tmp_path: Path) -> None:
    # A build of links to the real one, whose library is then another file.
    build, out = tmp_path / "build", tmp_path / "result.json"
    for kind in ("bin", "lib"):
        (build / kind).mkdir(parents=True)
        for file in (paths.build_dir() / kind).iterdir():
            (build / kind / file.name).symlink_to(file)
    library = build / "lib" / "libspawnpool_alloc.so"
    suite = _suite(tmp_path, scenarios=_keep_alive(), warmup="1s")
    with _started(
        suite, "--out", out, env={**os.environ, "SPAWNPOOL_BUILD": str(build)}
    ) as process:
        _await_load(process)
        content = library.read_bytes()
        library.unlink()
        library.write_bytes(content)
        _, words = process.communicate(timeout=PATIENCE)
        assert process.returncode == 2
    assert words.splitlines()[-1].startswith(f"spawnpool: {build} was rebuilt during the run")
    assert len(_result(out)["trials"]) == 2


def test_a_missing_wrk_ends_the_run_before_it_starts(tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    suite = ("quick", "--driver", "wrk")
    done = _run(*suite, "--out", out, env={**os.environ, "PATH": str(tmp_path)})
    assert _refused(done).startswith("spawnpool: wrk is not installed: run scripts/setup.sh")
    assert not out.exists()


def test_results_are_neither_overwritten_nor_mixed(tmp_path: Path) -> None:
    suite = _suite(tmp_path, scenarios=_keep_alive(), accounting=None)
    out = tmp_path / "result.json"
    _ended(_run(suite, "--out", out, "--targets", "worker-pool"), out)
    before = out.read_bytes()
    assert "is there already" in _refused(_run(suite, "--out", out))
    assert "'targets' differs" in _refused(_run(suite, "--out", out, "--resume"))
    same = (suite, "--out", out, "--targets", "worker-pool", "--resume")
    assert "'driver' differs" in _refused(_run(*same, "--driver", "wrk"))
    assert "'blocks' differs" in _refused(_run(*same, "--blocks", 7))
    assert "leave --seed out" in _refused(_run(*same, "--seed", 1))
    assert "name it with --out" in _refused(_run(suite, "--resume"))
    assert "cannot read" in _refused(_run(suite, "--out", tmp_path / "no.json", "--resume"))

    other = json.loads(before)
    del other["sha256"]  # as who changes a result does
    other["context"]["binaries"]["spawnpool-server"] = "0" * 64
    out.write_text(json.dumps(other))
    assert "other circumstances: 'binaries' differs" in _refused(_run(*same))
    out.write_bytes(before[:1000])
    assert "is not JSON" in _refused(_run(*same))


def test_a_terminal_shows_elapsed_and_remaining_time(tmp_path: Path) -> None:
    suite = _suite(tmp_path, scenarios=_keep_alive(), accounting=None)
    main_end, terminal = pty.openpty()
    with subprocess.Popen(
        [COMMAND, "run", suite, "--out", tmp_path / "result.json"],
        stdout=subprocess.DEVNULL,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "160"},
    ) as process:
        os.close(terminal)
        shown = b""
        try:
            while part := os.read(main_end, 65536):
                shown += part
        except OSError:  # how a terminal reads when its other end is closed
            pass
        os.close(main_end)
        assert process.wait(PATIENCE) in (0, 1)
    assert b"elapsed" in shown and b"left" in shown and b"4/4" in shown
