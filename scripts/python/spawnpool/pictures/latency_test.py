import pytest

from spawnpool.errors import UsageError
from spawnpool.pictures.latency import draw
from spawnpool.summary import summarize
from spawnpool.testing import axes_of, example_result, fail


def test_a_thin_line_for_each_trial_and_a_bold_one_for_each_target() -> None:
    lines = axes_of(draw(example_result()), "latency")[0].lines
    widths = [line.get_linewidth() for line in lines]
    assert len(widths) == 14 and sum(width > 2 for width in widths) == 2


def test_a_missing_histogram_leaves_the_others() -> None:
    result = example_result()
    for trial in result["trials"]:
        if trial["target"] == "worker-pool":
            trial["load"]["latency_histogram"] = None
            trial["unmeasured"]["load.latency_histogram"] = "the driver gives none"
    assert len(axes_of(draw(result), "latency")[0].lines) == 7


def test_a_corrupt_histogram_is_named() -> None:
    result = example_result()
    result["trials"][0]["load"]["latency_histogram"] = "HISTFAAAA"
    with pytest.raises(UsageError, match="latency_histogram of the trial .*, block 0, position 0"):
        list(draw(result))


def test_a_sweep_is_drawn_over_its_rates() -> None:
    result = example_result(suite_name="rate-sweep")
    (axes,) = axes_of(draw(result), "latency-vs-rate")
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
    (axes,) = axes_of(draw(result), "latency-vs-rate")
    assert [len(line.get_ydata()) for line in axes.lines] == [5, 5, 4, 4]


def test_one_rate_is_no_sweep() -> None:
    assert [picture.name for picture in draw(example_result())] == ["latency"]
