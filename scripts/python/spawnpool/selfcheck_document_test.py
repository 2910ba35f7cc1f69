"""The file of a calibration and what is said of it."""
import io
import json
from pathlib import Path

import pytest

from spawnpool.cli import main
from spawnpool.documents import Json
from spawnpool.errors import UsageError
from spawnpool.operating import Condition
from spawnpool.operating_test import simulated
from spawnpool.paths import RESULTS, ROOT
from spawnpool.results import write_result
from spawnpool.selfcheck_document import calibration, citation, read_calibration
from spawnpool.selfcheck_table import print_calibration

IDLE, LOAD, TENTH, HALF = (
    Condition(False, None),
    Condition(True, None),
    Condition(False, 10),
    Condition(False, 50),
)


@pytest.fixture(scope="module")
def document() -> Json:
    """Of equal targets, idle and under load, and of two that differ."""
    return calibration(
        {
            IDLE: simulated(runs=4),
            LOAD: simulated(runs=2),
            TENTH: simulated(0.01, runs=2),
            HALF: simulated(0.5, runs=2),
        }
    )


@pytest.fixture
def kept(document: Json, tmp_path: Path) -> Path:
    path = tmp_path / "calibration.json"
    write_result(path, document)
    return path


def test_a_calibration_is_what_its_schema_says(kept: Path, document: Json) -> None:
    assert read_calibration(kept) == document
    assert document["machine"]["hostname"] == "example"
    assert document["unmeasured"].keys() == {"cpu_model"}


def test_it_is_cited_for_its_machine(kept: Path) -> None:
    context = simulated(runs=1)[0][1]["context"]
    equal, tenth, half = citation(kept, context)
    assert "quick with 20 pairs: 0 false alarms in 4 comparisons of equal targets" in equal
    assert "would find: throughput, requests/s " in equal and "CPU time, µs/request " in equal
    assert tenth.endswith("10 % put in, found: nothing in 4 of 5 cases")
    assert "50 % put in, found: throughput, requests/s 6 of 6; CPU" in half
    (other,) = citation(kept, {**context, "hostname": "elsewhere"})
    assert "is of another machine (hostname is example there, elsewhere here)" in other
    assert list(citation(kept.with_name("none.json"), context)) == []


def test_compare_cites_it(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("spawnpool.compare.CALIBRATION", kept)
    path = tmp_path / "result.json"
    write_result(path, simulated(runs=1)[0][1])
    assert main(["compare", str(path), "--format", "json"]) == 0
    assert any(
        "0 false alarms in 4" in note for note in json.loads(capsys.readouterr().out)["notes"]
    )


def test_what_is_no_calibration_is_one_line(kept: Path, document: Json) -> None:
    kept.write_text(json.dumps({**document, "sets": []}))
    with pytest.raises(UsageError, match="calibration.json is no calibration: sets: .*selfcheck"):
        read_calibration(kept)


@pytest.mark.parametrize(
    "part, key, value", [("context", "hostname", "elsewhere"), ("suite", "duration", "7s")]
)
def test_runs_that_do_not_belong_together_make_none(part: str, key: str, value: str) -> None:
    results = simulated(runs=2)
    results[1][1][part][key] = value
    with pytest.raises(UsageError, match="begin a new calibration with another --out"):
        calibration({IDLE: results})


def test_it_is_told_in_tables(document: Json) -> None:
    file = io.StringIO()
    print_calibration(document, file)
    told = file.getvalue()
    assert "quick, 20 pairs, equal targets  " in told
    assert "quick, 20 pairs, equal targets, beside a disturber  " in told
    assert (
        "told apart: 0 of 4 (0 to 60.2 %) comparisons; stated: at most 2 %: in line with it" in told
    )
    assert "50 % put into the second target" in told
    assert "6 of 6 (54.1 to 100 %)" in told


@pytest.mark.parametrize("name", ["calibration.json", "power.json", "equal.json", "loaded.json"])
def test_the_readme_has_the_figures_of_the_published_calibrations(name: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for entry in read_calibration(RESULTS / "reference" / name)["sets"]:
        of_metric = {metric["metric"]: metric for metric in entry["metrics"]}
        effect = entry["effect_percent"]
        told = ["as it is" if effect is None else f"{effect} %"]
        for path in ("load.throughput_rps", "server.cpu_us_per_request"):
            (place,) = of_metric[path]["places"]
            slower, holds = of_metric[path]["regressed"], of_metric[path]["holds_one"]
            told += [f"{slower['k']} of {slower['n']}", f"{place['ratio']:.3f}"]
            told += [f"{100 * place['sigma_pairs']:.1f} %", f"{100 * place['least_effect']:.1f} %"]
            told += [f"{holds['k']} of {holds['n']}"] if effect in (None, 0) else ["–"]
        assert f"| {' | '.join(told)} |\n" in readme
