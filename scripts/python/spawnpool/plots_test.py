import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from matplotlib.image import imread

from spawnpool.documents import Json
from spawnpool.errors import UsageError
from spawnpool.plots import figures, plot
from spawnpool.results import write_result
from spawnpool.summary import summarize
from spawnpool.testing import example_result, fail


def _written(tmp_path: Path, result: Json) -> Path:
    path = tmp_path / "result.json"
    write_result(path, result)
    return path


def test_draws_each_picture_as_svg_and_png_and_the_same_again(tmp_path: Path) -> None:
    path = _written(tmp_path, example_result())
    files = plot(path, tmp_path / "once")
    assert [file.name for file in files] == [
        f"{name}{suffix}"
        for name in ("throughput", "latency", "allocations")
        for suffix in (".svg", ".png")
    ]
    for file in files:
        if file.suffix == ".svg":
            assert ElementTree.parse(file).getroot().tag.endswith("svg")
        else:
            image = imread(file)
            assert image.shape[1] > 1000 and image.std() > 0.01
    again = plot(path, tmp_path / "again")
    assert [file.read_bytes() for file in files] == [file.read_bytes() for file in again]


def test_the_numbers_drawn_are_those_of_the_result() -> None:
    result = example_result()
    drawn = dict(figures(result))
    rates = sorted(t["load"]["throughput_rps"] for t in result["trials"])
    points = [
        y for axes in drawn["throughput"].axes for line in axes.lines for y in line.get_ydata()
    ]
    assert sorted(points) == pytest.approx(rates)
    labels = [text.get_text() for text in drawn["throughput"].axes[0].get_xticklabels()]
    ratio = result["summary"][0]["comparisons"][0]["ratios"]["load.throughput_rps"]
    assert f"× {ratio['ratio']:.3f}" in labels[1] and "n = 6 pairs" in labels[1]
    bars = [patch.get_height() for patch in drawn["allocations"].axes[0].patches]
    assert bars == [2, 14, 0, 1]
    # Six thin lines and a bold one per target.
    widths = [line.get_linewidth() for line in drawn["latency"].axes[0].lines]
    assert len(widths) == 14 and sum(width > 2 for width in widths) == 2


def test_a_sweep_is_drawn_over_its_rates() -> None:
    result = example_result(suite_name="rate-sweep")
    drawn = dict(figures(result))
    assert list(drawn) == ["throughput", "latency", "latency-vs-rate"]  # it counts no allocations
    (axes,) = drawn["latency-vs-rate"].axes
    rates = [entry["point"]["rate"] for entry in result["summary"]]
    medians = [
        entry["targets"][1]["metrics"]["load.latency_us.p99"]["median"]
        for entry in result["summary"]
    ]
    assert axes.lines[3].get_label() == "worker-pool p99"
    assert list(axes.lines[3].get_xdata()) == rates
    assert list(axes.lines[3].get_ydata()) == medians
    ticks = [text.get_text() for text in axes.get_xticklabels()]
    assert ticks[0] == f"{rates[0]:,.0f}\n10 %" and ticks[-1].endswith("\n95 %")


def test_a_sweep_of_which_a_point_failed_is_drawn_without_it() -> None:
    result = example_result(suite_name="rate-sweep")
    for trial in result["trials"]:
        if trial["point"]["rate_fraction"] == 0.95 and trial["target"] == "worker-pool":
            fail(trial, "rate-missed", "the rate was missed")
    result["summary"] = summarize(result["suite"], result["trials"])
    (axes,) = dict(figures(result))["latency-vs-rate"].axes
    assert [len(line.get_ydata()) for line in axes.lines] == [5, 5, 4, 4]


def test_throughput_leaves_out_who_was_turned_away() -> None:
    result = example_result()
    for trial in result["trials"]:
        trial["load"]["rejected"] = trial["load"]["requests"] // 2
    result["summary"] = summarize(result["suite"], result["trials"])
    axes = dict(figures(result))["throughput"].axes[0]
    assert "without 429, 503" in axes.get_ylabel()
    highest = max(value for line in axes.lines for value in line.get_ydata())
    assert highest < 0.6 * max(trial["load"]["throughput_rps"] for trial in result["trials"])


def test_a_point_without_valid_trials_says_so() -> None:
    result = example_result()
    for trial in result["trials"]:
        if trial["scenario"] == "churn":
            fail(trial, "error-share", "too many errors")
    for _, figure in figures({**result}):
        words = [text.get_text() for text in figure.axes[2].texts]
        assert figure.axes[2].get_title() == "churn, connections 16"
        assert "no valid trial" in words


def test_a_target_without_valid_trials_leaves_the_others() -> None:
    result = example_result()
    for trial in result["trials"]:
        if trial["target"] == "worker-pool":
            fail(trial, "generator-bound", "the generator was the limit")
    axes = dict(figures(result))["throughput"].axes[0]
    assert [len(line.get_ydata()) for line in axes.lines] == [6, 0]


def test_a_missing_histogram_leaves_the_others(tmp_path: Path) -> None:
    result = example_result()
    for trial in result["trials"]:
        if trial["target"] == "worker-pool":
            trial["load"]["latency_histogram"] = None
            trial["unmeasured"]["load.latency_histogram"] = "the driver gives none"
    assert len(dict(figures(result))["latency"].axes[0].lines) == 7


def test_only_failed_trials_give_one_clear_line(tmp_path: Path) -> None:
    result = example_result()
    for trial in result["trials"]:
        fail(trial, "error-share", "too many errors")
    with pytest.raises(UsageError, match="has no valid trial to draw"):
        plot(_written(tmp_path, result), tmp_path)


def test_a_corrupt_histogram_is_named(tmp_path: Path) -> None:
    result = example_result()
    result["trials"][0]["load"]["latency_histogram"] = "HISTFAAAA"
    with pytest.raises(UsageError, match="latency_histogram of the trial .*, block 0, position 0"):
        plot(_written(tmp_path, result), tmp_path)
