import pytest

from spawnpool.documents import Json
from spawnpool.pictures.throughput import draw
from spawnpool.summary import summarize
from spawnpool.testing import axes_of, example_result, fail


def test_the_points_are_the_trials_and_the_labels_their_ratios() -> None:
    result = example_result()
    panels = axes_of(draw(result), "throughput")
    points = [y for axes in panels for line in axes.lines for y in line.get_ydata()]
    rates = sorted(t["load"]["throughput_rps"] for t in result["trials"])
    assert sorted(points) == pytest.approx(rates)
    labels = [text.get_text() for text in panels[0].get_xticklabels()]
    ratio = result["summary"][0]["comparisons"][0]["ratios"]["load.throughput_rps"]
    assert f"× {ratio['ratio']:.3f}" in labels[1] and "n = 6 pairs" in labels[1]


def test_who_was_turned_away_is_left_out() -> None:
    result = example_result()
    for trial in result["trials"]:
        trial["load"]["rejected"] = trial["load"]["requests"] // 2
    result["summary"] = summarize(result["suite"], result["trials"])
    axes = axes_of(draw(result), "throughput")[0]
    assert "without 429, 503" in axes.get_ylabel()
    highest = max(value for line in axes.lines for value in line.get_ydata())
    assert highest < 0.6 * max(trial["load"]["throughput_rps"] for trial in result["trials"])


def test_a_target_without_valid_trials_leaves_the_others() -> None:
    result = example_result()
    for trial in result["trials"]:
        if trial["target"] == "worker-pool":
            fail(trial, "generator-bound", "the generator was the limit")
    axes = axes_of(draw(result), "throughput")[0]
    assert [len(line.get_ydata()) for line in axes.lines] == [6, 0]


def test_a_real_result_is_drawn(real_result: Json) -> None:
    panels = axes_of(draw(real_result), "throughput")
    assert [axes.get_title() for axes in panels] == [
        "kept, connections 4",
        "burst, bursts of 4 every 50ms",
        "ended, shutdown after 300ms",
    ]
    assert [len(line.get_ydata()) for axes in panels for line in axes.lines] == [2] * 6
