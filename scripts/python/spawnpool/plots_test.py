import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from matplotlib.image import imread

from spawnpool.documents import Json
from spawnpool.errors import UsageError
from spawnpool.plots import pictures, plot
from spawnpool.results import write_result
from spawnpool.testing import example_result, fail


def _written(tmp_path: Path, result: Json) -> Path:
    path = tmp_path / "result.json"
    write_result(path, result)
    return path


def test_draws_each_picture_as_svg_and_png_and_the_same_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _written(tmp_path, example_result())
    files = plot(path, tmp_path / "once")
    assert [file.name for file in files] == [
        f"{name}{suffix}"
        for name in ("throughput", "latency", "cpu", "allocations", "allocated-bytes")
        for suffix in (".svg", ".png")
    ]
    assert capsys.readouterr().err.splitlines() == [
        f"not drawn: system-calls{kind}: not asked for in this trial" for kind in ("-by-phase", "")
    ]
    for file in files:
        if file.suffix == ".svg":
            assert ElementTree.parse(file).getroot().tag.endswith("svg")
        else:
            image = imread(file)
            assert image.shape[1] > 1000 and image.std() > 0.01
    again = plot(path, tmp_path / "again")
    assert [file.read_bytes() for file in files] == [file.read_bytes() for file in again]


def test_a_real_result_has_every_picture(real_result: Json, tmp_path: Path) -> None:
    files = plot(_written(tmp_path, real_result), tmp_path)
    drawn = {file.stem for file in files}
    series = {"series-burst-bursts-of-4-every-50ms", "series-ended-shutdown-after-300ms"}
    costs = {"cpu", "allocations", "allocated-bytes", "system-calls-by-phase", "system-calls"}
    assert drawn == {"throughput", "latency", "micro"} | costs | series
    assert len(files) == 2 * len(drawn)


def test_a_point_without_valid_trials_says_so() -> None:
    result = example_result()
    for trial in result["trials"]:
        if trial["scenario"] == "churn":
            fail(trial, "error-share", "too many errors")
    for picture in pictures(result, ["load"]):
        assert picture.figure is not None
        axes = picture.figure.axes[2]
        assert axes.get_title() == "churn, connections 16"
        assert "no valid trial" in [text.get_text() for text in axes.texts]


def test_only_failed_trials_give_one_clear_line(tmp_path: Path) -> None:
    result = example_result()
    for trial in result["trials"]:
        fail(trial, "error-share", "too many errors")
    with pytest.raises(UsageError, match="has no valid trial to draw"):
        plot(_written(tmp_path, result), tmp_path)
