"""The command `selfcheck`, with real servers."""
import json
from pathlib import Path

import pytest

from spawnpool.cli import main
from spawnpool.documents import Json
from spawnpool.errors import UsageError
from spawnpool.plan import draw_plan
from spawnpool.selfcheck import SERVICE_US, between_equals
from spawnpool.selfcheck_document import read_calibration
from spawnpool.suite import load_suite, trial_spec


def _tiny(folder: Path) -> str:
    suite = load_suite("ci")
    kept: Json = {**suite["scenarios"][0], "points": [{"connections": 4}]}
    suite.update(scenarios=[kept], warmup="50ms", duration="100ms", blocks=1)
    suite["accounting"] = {"connections": 4, "requests_per_connection": 5}
    path = folder / "tiny.json"
    path.write_text(json.dumps(suite))
    return str(path)


@pytest.mark.alone
def test_it_measures_equal_servers_goes_on_and_puts_an_effect_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite, out = _tiny(tmp_path), tmp_path / "calibration.json"
    once = ["selfcheck", suite, "--set", "duration=150ms", "--comparisons", "1", "--out", str(out)]
    assert main(once) == 0
    assert "told apart: 0 of 1" in capsys.readouterr().out
    (first,) = read_calibration(out)["sets"]
    assert (first["comparisons"], first["pairs"], first["load"]) == (1, 2, False)
    result = tmp_path / "calibration" / "idle" / "001.json"
    trials = json.loads(result.read_text())["trials"]
    assert json.loads(result.read_text())["suite"]["duration"] == "150ms"
    assert [sorted(trial["command"]) for trial in trials] == [sorted(trials[0]["command"])] * 4

    assert main(once) == 2
    assert "has comparisons already: go on with --resume" in capsys.readouterr().err
    stamp = result.stat().st_mtime_ns
    assert main([*once, "--resume"]) == 0
    assert result.stat().st_mtime_ns == stamp

    assert main([*once, "--resume", "--load", "--effect", "100"]) == 0
    sets = {
        (entry["load"], entry["effect_percent"]): entry for entry in read_calibration(out)["sets"]
    }
    assert sets[False, None] == first
    (cpu,) = (
        metric["places"][0]
        for metric in sets[True, 100]["metrics"]
        if metric["metric"] == "server.cpu_us_per_request"
    )
    # Twice the work, and what a request takes besides; a request that the window cuts counts as one.
    assert 1.3 < cpu["ratio"] < 3


def test_a_budget_that_nothing_fits_in_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "calibration.json"
    command = ["selfcheck", _tiny(tmp_path), "--budget", "1ms", "--out", str(out)]
    assert main(command) == 2
    assert "has no comparison that came to its end: give more --budget" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    "option, words",
    [
        (["--effect", "5,x"], "'5,x' is no list of whole percents from 0 to 100"),
        (["--effect", "101"], "'101' is no list of whole percents from 0 to 100"),
        (["--comparisons", "0"], "'0' is no whole number of at least 1"),
        (["--budget", "soon"], "'soon' is no duration"),
        (["--set", "duration=soon"], "--set duration: duration: 'soon' does not match"),
    ],
)
def test_mistakes_are_one_line(
    option: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["selfcheck", *option]) == 2
    told = capsys.readouterr()
    assert words in told.err and told.err.count("\n") == 1


def test_equal_targets_differ_in_their_name_only_and_an_effect_in_the_work_asked() -> None:
    suite = load_suite("ci")
    equal = between_equals(suite, None)
    first, second = equal["targets"]
    assert {**first, "name": "second"} == second
    assert equal["scenarios"] == suite["scenarios"] and equal["blocks"] == suite["blocks"]
    changed = between_equals(suite, 5)
    assert {how["gate"] for how in changed["metrics"]} == {"noisy"}
    assert [it["name"] for it in changed["scenarios"]] == ["keep-alive", "churn"]
    asked = {
        planned.target: trial_spec(changed, planned, 1)["scenario"]["request"]["path"]
        for planned in draw_plan(changed, 1)
    }
    assert asked == {
        "first": f"/work?us={SERVICE_US}",
        "second": f"/work?us={SERVICE_US + SERVICE_US * 5 // 100}",
    }


def test_an_effect_needs_a_get() -> None:
    suite = load_suite("ci")
    posts = [it for it in suite["scenarios"] if it["request"]["method"] == "POST"]
    with pytest.raises(UsageError, match="suite 'ci' has no GET to put an effect into"):
        between_equals({**suite, "scenarios": posts}, 5)
