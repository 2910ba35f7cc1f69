import statistics

import pytest

from spawnpool.documents import Json
from spawnpool.micro import micro_medians
from spawnpool.pictures.micro import draw
from spawnpool.testing import axes_of, caption_of, example_result


def test_a_panel_for_each_family_with_every_repetition(real_result: Json) -> None:
    panels = axes_of(draw(real_result), "micro")
    assert [axes.get_title(loc="left") for axes in panels] == ["handler_signature", "route"]
    medians = {it.name: it for it in micro_medians(real_result["micro"])}
    drawn = {}
    for axes in panels:
        names = [text.get_text() for text in axes.get_yticklabels()]
        for name, bar, circles in zip(names, axes.patches, axes.lines, strict=True):
            drawn[f"{axes.get_title(loc='left')}/{name}"] = (bar, list(circles.get_xdata()))
        assert axes.get_xlim()[0] == 0
    assert set(drawn) == set(medians)
    for name, (bar, circles) in drawn.items():
        assert bar.get_width() == pytest.approx(statistics.median(circles))
        assert circles == medians[name].real_times and len(circles) == 2
    assert "(n = 2)" in caption_of(draw(real_result), "micro")


def test_one_that_failed_is_named_without_a_bar() -> None:
    result = example_result(suite_name="signature")
    for entry in result["micro"]:
        if entry["run_name"] == "route/miss":
            entry.update(error_occurred=True, real_time=None, cpu_time=None, allocs_per_iter=None)
    panels = axes_of(draw(result), "micro")
    assert [len(axes.patches) for axes in panels] == [0, 1]
    assert [text.get_text() for text in panels[0].texts] == ["failed"]
    assert "(n = 0 to 7)" in caption_of(draw(result), "micro")


def test_without_micro_benchmarks_there_is_none() -> None:
    assert not list(draw(example_result()))
    result = example_result(suite_name="signature")
    result["micro"] = []  # the run was interrupted before them
    (picture,) = draw(result)
    assert picture.figure is None and "ended before" in picture.reason
