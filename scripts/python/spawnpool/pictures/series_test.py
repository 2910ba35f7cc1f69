import pytest

from spawnpool.documents import Json
from spawnpool.pictures.series import ROWS, draw
from spawnpool.testing import axes_of, caption_of, example_result, fail

BURST = "series-burst-bursts-of-4-every-50ms"
ENDED = "series-ended-shutdown-after-300ms"


def test_even_loads_have_none(real_result: Json) -> None:
    assert not list(draw(example_result()))
    assert [picture.name for picture in draw(real_result)] == [BURST, ENDED]


def test_every_trial_of_both_targets_is_drawn_on_one_clock(real_result: Json) -> None:
    panels = axes_of(draw(real_result), BURST)
    assert len(panels) == 2 * len(ROWS)
    assert [axes.get_title() for axes in panels[:2]] == ["thread-fresh", "pool-reused"]
    assert len({axes.get_xlim() for axes in panels}) == 1 and panels[0].get_xlim()[0] == 0
    for left, right in zip(panels[::2], panels[1::2]):
        assert left.get_ylim() == right.get_ylim() and left.get_ylim()[0] == 0
    trials = [trial for trial in real_result["trials"] if trial["scenario"] == "burst"]
    answered = sorted(sum(trial["load"]["time_series"]["answered"]) for trial in trials)
    # A stair of answers and one of failures for each of two trials.
    stairs = [stair.get_data() for axes in panels[:2] for stair in axes.patches[::2]]
    drawn = sorted(sum(data.values) * (data.edges[1] - data.edges[0]) for data in stairs)
    assert drawn == pytest.approx(answered)
    counts = [len(axes.lines) for axes in panels[2:]]
    assert counts == [4, 4, 6, 6, 2, 2, 2, 2]  # two trials of each line
    assert "n = 2 per target" in caption_of(draw(real_result), BURST)


def test_memory_is_drawn_in_mebibytes(real_result: Json) -> None:
    memory = axes_of(draw(real_result), BURST)[-2]
    told = [
        trial["server"]["time_series"]["rss_bytes"]
        for trial in real_result["trials"]
        if (trial["scenario"], trial["target"]) == ("burst", "thread-fresh")
    ]
    drawn = sorted(list(line.get_ydata()) for line in memory.lines)
    assert drawn == sorted([value / 2**20 for value in values] for values in told)


def test_sigterm_is_marked_in_every_panel(real_result: Json) -> None:
    panels = axes_of(draw(real_result), ENDED)
    marks = [[line for line in axes.lines if line.get_linestyle() == "--"] for axes in panels]
    assert [list(mark.get_xdata()) for (mark,) in marks] == [[0.3, 0.3]] * len(panels)
    assert [text.get_text() for axes in panels[:2] for text in axes.texts] == ["SIGTERM"] * 2
    unmarked = axes_of(draw(real_result), BURST)
    assert not [t for axes in unmarked for t in axes.texts]


def test_what_a_trial_does_not_tell_is_said() -> None:
    result = example_result({"thread-per-connection": 9e3, "worker-pool-64": 9e3}, "overload")
    for trial in result["trials"]:
        trial["server"]["time_series"]["status"] = None
        if trial["target"] == "worker-pool-64":
            fail(trial, "error-share", "too many errors")
    name = "series-overload-connections-32"
    panels = axes_of(draw(result), name)
    words = [[text.get_text() for text in axes.texts] for axes in panels]
    assert words[:2] == [[], ["no valid trial"]]
    assert words[2] == ["not measured"]  # its connections, which only it could tell
    assert words[4] == []  # its threads were seen from outside


def test_without_any_series_nothing_is_drawn() -> None:
    result = example_result(suite_name="overload")
    for trial in result["trials"]:
        trial["load"]["time_series"] = None
        trial["server"]["time_series"] = None
        trial["unmeasured"]["load.time_series"] = "wrk tells none"
        trial["unmeasured"]["server.time_series"] = "the target ended at once"
    first, second = draw(result)
    assert first.figure is None and second.figure is None
    assert first.reason == "the target ended at once; wrk tells none"
    for trial in result["trials"]:
        fail(trial, "error-share", "too many errors")
    assert [picture.reason for picture in draw(result)] == ["no valid trial"] * 2
