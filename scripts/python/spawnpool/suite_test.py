import copy
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spawnpool.calibration import calibration_plan
from spawnpool.documents import Json
from spawnpool.errors import UsageError
from spawnpool.load import load_of
from spawnpool.metrics import gates
from spawnpool.micro import micro_names
from spawnpool.options import RunOptions
from spawnpool.plan import PAIRS_PER_BLOCK, draw_plan
from spawnpool.statistics import MINIMUM_PAIRS, pairs_needed
from spawnpool.paths import known_suites
from spawnpool.verdicts import GATE_ALPHA
from spawnpool.suite import available, load_suite, override, trial_spec
from spawnpool.durations import seconds


def test_every_shipped_suite_is_valid_and_named_as_its_file() -> None:
    assert "quick" in known_suites() and "schema" not in known_suites()
    for name in known_suites():
        assert load_suite(name)["name"] == name


def test_quick_has_the_pairs_an_interval_needs_and_takes_a_minute() -> None:
    suite = load_suite("quick")
    assert PAIRS_PER_BLOCK * suite["blocks"] >= MINIMUM_PAIRS
    measured = seconds(suite["warmup"]) + seconds(suite["duration"])
    assert len(draw_plan(suite, 1)) * measured <= 60


def test_ci_can_tell_a_difference_in_every_metric_that_it_gates() -> None:
    suite = load_suite("ci")
    points = sum(len(scenario["points"]) for scenario in suite["scenarios"])
    noisy = points * sum(how.kind == "noisy" for how in gates(suite).values())
    assert noisy > 0
    assert PAIRS_PER_BLOCK * suite["blocks"] >= pairs_needed(GATE_ALPHA / noisy)


def test_full_has_every_load_that_suits_all_its_targets() -> None:
    def loads(name: str) -> set[str]:
        return {
            json.dumps([scenario["request"], load_of(scenario, point)], sort_keys=True)
            for scenario in load_suite(name)["scenarios"]
            for point in scenario["points"]
        }

    # The others need options of one model, or are there with a background.
    own = {"overload", "tuning", "slow-clients", "ci", "quick"}
    missing = {name for name in set(known_suites()) - own if loads(name) - loads("full")}
    assert missing == set()


def test_every_shipped_filter_finds_micro_benchmarks() -> None:
    asking = [suite["micro"] for suite in map(load_suite, known_suites()) if "micro" in suite]
    assert len(asking) >= 2 and all(micro_names(asked) for asked in asking)


LONG = {"churn", "peers", "ci", "full", "tuning"}


@pytest.mark.parametrize("name", sorted(set(known_suites()) - LONG))
def test_a_suite_on_one_topic_has_seconds_per_point_and_names_its_claim(name: str) -> None:
    suite = load_suite(name)
    measured = seconds(suite["warmup"]) + seconds(suite["duration"])
    assert (len(draw_plan(suite, 1)) + len(calibration_plan(suite))) * measured <= 100
    assert name in ("quick", "calibration") or re.search("[Cc]laim [1-4]", suite["description"])


def test_a_path_is_a_suite_as_well(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(load_suite("quick")))
    assert load_suite(str(path)) == load_suite("quick")


@pytest.mark.parametrize(
    "name, words",
    [
        ("quik", "unknown suite 'quik': did you mean 'quick'? known: "),
        ("schema", "unknown suite 'schema'"),
        ("there-is-no.json", "cannot read there-is-no.json: No such file"),
    ],
)
def test_an_unknown_suite_names_the_known(name: str, words: str) -> None:
    with pytest.raises(UsageError) as error:
        load_suite(name)
    assert words in str(error.value)


P50 = "load.latency_us.p50"


def _edit(suite: Json, path: str, value: Any) -> None:
    *steps, last = path.split("/")
    for step in steps:
        suite = suite[int(step) if step.isdigit() else step]  # type: ignore[index]
    suite[int(last) if last.isdigit() else last] = value  # type: ignore[index]


@pytest.mark.parametrize(
    "path, value, words",
    [
        ("blocks", 0, "blocks: 0 is less than the minimum of 1"),
        ("blocks", "3", "blocks: '3' is not of type 'integer'"),
        ("durations", "1s", "top level: Additional properties are not allowed ('durations'"),
        ("warmup", "0.3s", "warmup: '0.3s' does not match, wanted: a whole number with its unit"),
        ("timeout", "0.5s", "timeout: '0.5s' does not match"),
        ("timeout", "2m", "timeout: 2m is not within 1ms and 1m"),
        ("driver", "ab", "driver: 'ab' is not one of ['builtin', 'wrk']"),
        ("targets", [], "targets: [] is too short"),
        ("targets/0/model", "worker-pol", "targets[0].model: 'worker-pol' is not one of"),
        ("targets/0/name", "a b", "targets[0].name: 'a b' does not match"),
        ("targets/1/name", "thread-per-connection", "targets[1].name: 'thread-per-connection' is"),
        ("targets/0/command", ["x"], "targets[0]:"),
        ("targets/1", {"name": "x"}, "targets[1]:"),
        ("targets/1", {"name": "x", "command": ["x"]}, "targets[1]: say how its port is known"),
        (
            "targets/1",
            {"name": "x", "command": ["x", "{port}"], "port": 80},
            "targets[1]: say how its port is known",
        ),
        ("targets/1", {"name": "x", "command": ["x"], "options": []}, "targets[1]: 'model' is a"),
        ("targets/1/against", "nobody", "targets[1].against: 'nobody' is no other target"),
        (
            "targets/1/against",
            "worker-pool",
            "targets[1].against: 'worker-pool' is no other target",
        ),
        (
            "targets/1/revision",
            {"ref": "main"},
            "targets[1]: 'command' is a dependency of 'revision'",
        ),
        ("scenarios/1/name", "keep-alive", "scenarios[1].name: 'keep-alive' is there already"),
        ("scenarios/0/points/1/connection", 3, "scenarios[0].points[1]: Additional properties"),
        ("scenarios/0/requests_per_connection", -1, "scenarios[0].requests_per_connection: -1"),
        ("scenarios/0/points/1", {}, "scenarios[0].points[1]: {} does not have enough properties"),
        ("scenarios/0/points/1", {"pipeline": 2}, "scenarios[0].points[1].connections: is missing"),
        ("scenarios/0/points/1/rate", 0, "scenarios[0].points[1].rate: 0 is less than or equal"),
        (
            "scenarios/0/points/1/rate_fraction",
            50,
            "scenarios[0].points[1].rate_fraction: 50 is gr",
        ),
        ("scenarios/0/points/1/burst", {"size": 3}, "scenarios[0].points[1].burst: 'every' is a"),
        ("scenarios/0/points/1/background", {"idel": 3}, "scenarios[0].points[1].background: Add"),
        ("scenarios/0/points/1/arrivals", "poisson", "scenarios[0].points[1].arrivals: says how"),
        ("scenarios/0/points/1/shutdown_after", "2s", "scenarios[0].points[1].shutdown_after: 2s "),
        ("scenarios/0/limits", {"error_share": 2}, "scenarios[0].limits.error_share: 2 is greater"),
        ("scenarios/0/expect/body_bytes", 3, "scenarios[0].expect: "),
        ("scenarios/0/expect", {"status": 200}, "scenarios[0].expect: "),
        ("micro", {"filter": "x"}, "micro: 'min_time' is a required property"),
        ("micro", {"filter": "", "min_time": "1s", "repetitions": 1}, "micro.filter: '' is too"),
        ("micro", {"filter": "x", "min_time": "1", "repetitions": 1}, "micro.min_time: '1' does"),
        ("micro", {"filter": "x", "min_time": "1s", "repetitions": 0}, "micro.repetitions: 0 is"),
        ("limits/error_share", 2, "limits.error_share: 2 is greater than the maximum of 1"),
        ("metrics", [{"path": P50}], "metrics[0]: 'gate' is a required property"),
        ("metrics", [{"path": P50, "gate": "strict"}], "metrics[0].gate: 'strict' is not one of"),
        (
            "metrics",
            [{"path": P50, "gate": "noisy", "margin": -1}],
            "metrics[0].margin: -1 is less",
        ),
        ("metrics", [{"path": P50[:-1], "gate": "shown"}], f"metrics: unknown metric '{P50[:-1]}'"),
        ("limits/foreign_cpu_share", -1, "limits.foreign_cpu_share: -1 is less than the minimum"),
        ("limits/steal_share", "2%", "limits.steal_share: '2%' is not of type 'number'"),
    ],
)
def test_a_broken_suite_is_refused_with_place_and_fault(
    tmp_path: Path, path: str, value: Any, words: str
) -> None:
    suite = copy.deepcopy(load_suite("quick"))
    _edit(suite, path, value)
    file = tmp_path / "broken.json"
    file.write_text(json.dumps(suite))
    with pytest.raises(UsageError) as error:
        load_suite(str(file))
    assert str(error.value).startswith(f"{file}: {words}")
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


@pytest.mark.parametrize(
    "text", ["", "{", "[1, NaN]", "[1e999]", f"[{10**400}]", "[" * 100_000, "\x00"]
)
def test_what_is_not_json_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "broken.json"
    file.write_text(text)
    with pytest.raises(UsageError, match="is not JSON"):
        load_suite(str(file))


def test_overrides_choose_targets_and_blocks_and_leave_the_suite_alone() -> None:
    suite = load_suite("quick")
    before = copy.deepcopy(suite)
    changed = override(suite, RunOptions("quick", targets=["worker-pool"], blocks=9, budget="5m"))
    assert [target["name"] for target in changed["targets"]] == ["worker-pool"]
    assert changed["blocks"] == 9 and changed["budget"] == "5m"
    assert suite == before
    assert override(suite, RunOptions("quick")) == suite


def test_settings_make_a_suite_or_are_refused_by_their_path() -> None:
    def changed(*settings: str) -> Json:
        return override(load_suite("quick"), RunOptions("quick", settings=settings))

    assert changed("duration=2s", "limits.error_share=0")["duration"] == "2s"
    for settings, words in (
        (
            ["duration=2"],
            "--set duration: duration: 2 does not match, wanted: a whole number with its",
        ),
        (["durations=2s"], "--set durations: top level: Additional properties are not allowed"),
        (
            ["limits.error_share=2"],
            "--set limits.error_share: limits.error_share: 2 is greater than",
        ),
        (
            ["blocks=3", 'targets.worker-pool.options="x"'],
            "--set blocks, targets.worker-pool.options: targets[1].options: 'x' is not of type",
        ),
        (
            ["scenarios.churn.points.0.pipeline=3"],
            "--set scenarios.churn.points.0.pipeline: scenar",
        ),
    ):
        with pytest.raises(UsageError) as error:
            changed(*settings)
        assert str(error.value).startswith(words) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "targets, words",
    [
        (["worker-pol"], "unknown target 'worker-pol': did you mean 'worker-pool'?"),
        ([""], "unknown target '': known: thread-per-connection, worker-pool"),
        (["worker-pool", "worker-pool"], "names one twice"),
    ],
)
def test_targets_must_be_of_the_suite(targets: list[str], words: str) -> None:
    with pytest.raises(UsageError) as error:
        override(load_suite("quick"), RunOptions("quick", targets=targets))
    assert words in str(error.value)


def test_a_budget_is_a_duration() -> None:
    with pytest.raises(UsageError, match="--budget soon: budget: 'soon' does not match, wanted: a"):
        override(load_suite("quick"), RunOptions("quick", budget="soon"))


def test_another_driver_must_know_the_loads() -> None:
    wrk = RunOptions("quick", driver="wrk")
    assert override(load_suite("quick"), wrk)["driver"] == "wrk"
    words = "--driver wrk: scenarios.0..points.0..rate_fraction: the driver wrk has no such load"
    with pytest.raises(UsageError, match=words):
        override(load_suite("rate-sweep"), wrk)
    suite = load_suite("quick")
    suite["scenarios"][0]["request"]["method"] = "HEAD"
    with pytest.raises(UsageError, match="request.method: the driver wrk cannot read"):
        override(suite, wrk)


def test_a_spec_tells_the_rate_and_the_limits_of_its_scenario() -> None:
    suite = load_suite("rate-sweep")
    suite["limits"]["steal_share"] = 0.02
    suite["scenarios"][0].update(limits={"error_share": 0.5}, rate_fraction=0.3)
    planned = replace(draw_plan(suite, 1)[0], point={"rate_fraction": 0.3, "rate": 300.5})
    spec = trial_spec(suite, planned, seed=1)
    assert spec["point"] == {"rate": 300.5}
    assert spec["scenario"].keys() & {"points", "limits", "rate_fraction"} == set()
    assert spec["limits"] == {"error_share": 0.5, "steal_share": 0.02}


def test_a_spec_holds_what_one_trial_needs() -> None:
    suite = load_suite("quick")
    planned = draw_plan(suite, 1)[0]
    spec = trial_spec(suite, planned, seed=1)
    assert spec["target"]["name"] == planned.target
    assert spec["scenario"]["name"] == planned.scenario and "points" not in spec["scenario"]
    assert spec["point"] == planned.point
    assert spec["warmup"] == "300ms" and spec["accounting"] == suite["accounting"]
    assert (spec["block"], spec["position"], spec["seed"]) == (0, 0, 1)
    assert "cpus" not in spec


def test_a_target_may_be_asked_for_a_path_of_its_own() -> None:
    suite = load_suite("quick")
    (scenario, *_), (base, other) = suite["scenarios"], suite["targets"]
    suite.update(scenarios=[scenario], targets=[base, {**other, "path": "/own"}])
    asked = {base["name"]: scenario["request"]["path"], other["name"]: "/own"}
    for planned in draw_plan(suite, 1):
        spec = trial_spec(suite, planned, seed=1)
        assert spec["scenario"]["request"]["path"] == asked[planned.target]
        assert "path" not in spec["target"]


def _with_optional(*command: str) -> Json:
    target = {"name": "x", "command": list(command), "ready_line": True, "optional": "a-package"}
    suite = load_suite("quick")
    return {**suite, "targets": [*suite["targets"], target]}


def _programs(monkeypatch: pytest.MonkeyPatch, build: Path, *names: str) -> None:
    monkeypatch.setenv("SPAWNPOOL_BUILD", str(build))
    (build / "bin").mkdir(exist_ok=True)
    for name in names:
        (build / "bin" / name).touch(mode=0o755)


@pytest.mark.parametrize(
    "command, missing",
    [
        (["{bin}/there"], None),
        (["env", "A=1", "{bin}/there", "--port", "1"], None),
        (["sh"], None),
        (["{bin}/none"], "bin/none"),
        (["env", "A=1", "{bin}/none"], "bin/none"),
        (["no-such-program", "{bin}/there"], "no-such-program"),
    ],
)
def test_an_optional_target_that_is_not_there_is_skipped_by_name(
    command: list[str], missing: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _programs(monkeypatch, tmp_path, "there")
    suite = available(_with_optional(*command))
    names = [target["name"] for target in suite["targets"]]
    if missing is None:
        assert names[2:] == ["x"] and suite["skipped"] == []
    else:
        assert len(names) == 2
        (skip,) = suite["skipped"]
        assert skip["target"] == "x"
        assert f"{missing} is missing: install a-package and build again" in skip["reason"]


def test_only_an_optional_target_is_skipped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _programs(monkeypatch, tmp_path)
    suite = _with_optional("{bin}/none")
    with pytest.raises(UsageError, match="no target can run: .*/bin/none is missing"):
        available({**suite, "targets": suite["targets"][2:]})
    del suite["targets"][2]["optional"]
    assert available(suite) == {**suite, "skipped": []}


def test_a_trial_gets_the_command_with_its_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _programs(monkeypatch, tmp_path, "there")
    suite = _with_optional("env", "A={bin}", "{bin}/there", "{port}")
    planned = next(trial for trial in draw_plan(suite, 1) if trial.target == "x")
    assert trial_spec(suite, planned, seed=1)["target"] == {
        "name": "x",
        "command": ["env", f"A={tmp_path}/bin", f"{tmp_path}/bin/there", "{port}"],
        "ready_line": True,
    }
    assert suite["targets"][2]["command"][2] == "{bin}/there"
