import pytest
from matplotlib.axes import Axes

from spawnpool.documents import Json
from spawnpool.pictures.counts import PHASES, draw
from spawnpool.summary import summarize
from spawnpool.testing import axes_of, caption_of, example_result


def _segments(axes: Axes, place: int) -> list[tuple[float, float]]:
    """Where each segment of a target's bar begins, and how long it is."""
    return [
        (bar.get_x(), bar.get_width())
        for bar in axes.patches
        if round(bar.get_y() + bar.get_height() / 2) == place
    ]


def _with_phases(**phases: float) -> Json:
    """`quick`, in which these are the pool's allocations per connection, and none are per request."""
    result = example_result()
    told = {phase: float(phases.get(phase, 0)) for phase in PHASES}
    for trial in result["trials"]:
        allocations = trial["server"]["allocations"]
        if trial["target"] == "worker-pool":
            allocations["per_connection"] = sum(told.values())
            allocations["by_phase"] = {
                phase: {
                    "per_request": 0.0,
                    "per_connection": count,
                    "bytes_per_request": 0.0,
                    "bytes_per_connection": 64.0 * count,
                }
                for phase, count in told.items()
            }
            del trial["unmeasured"]["server.allocations.by_phase"]
    result["summary"] = summarize(result["suite"], result["trials"])
    return result


def test_parts_stand_one_after_the_other_and_those_below_0_to_its_left() -> None:
    result = _with_phases(setup=3, parse=-4, hand_off=2)
    panels = axes_of(draw(result), "allocations")
    assert _segments(panels[1], 1) == [(0, 2), (2, 3), (0, -4)]  # hand_off, setup, parse
    assert panels[1].get_xlim()[0] < -4
    words = [text.get_text() for text in panels[1].texts]
    assert words.count("1") == 1 and "-4" in words
    assert _segments(axes_of(draw(result), "allocated-bytes")[1], 1)[1] == (128, 192)


def test_a_total_that_is_not_divided_is_one_bar_and_the_caption_says_why() -> None:
    result = _with_phases(setup=1)
    requests, connections = axes_of(draw(result), "allocations")[:2]
    assert _segments(requests, 0) == [(0, 2)] and _segments(connections, 0) == [(0, 14)]
    assert _segments(requests, 1) == []  # a total of 0, in words
    caption = caption_of(draw(result), "allocations")
    assert "Not divided: the target marks no phases." in caption
    assert "Counted by: interposer." in caption and "n = 6" in caption


def test_what_was_not_measured_is_no_bar_of_0() -> None:
    result = example_result()
    for trial in result["trials"]:
        if trial["target"] == "worker-pool":
            trial["server"]["allocations"]["per_request"] = None
            trial["unmeasured"]["server.allocations.per_request"] = "not told"
    result["summary"] = summarize(result["suite"], result["trials"])
    axes = axes_of(draw(result), "allocations")[0]
    assert _segments(axes, 1) == []
    assert [text.get_text() for text in axes.texts] == ["2", "not measured"]


def test_nothing_is_drawn_of_what_nobody_counted() -> None:
    pictures = {picture.name: picture for picture in draw(example_result(suite_name="rate-sweep"))}
    assert pictures["allocations"].figure is None
    assert pictures["allocations"].reason == "no accounting pass was asked for"
    assert pictures["system-calls"].reason == "not asked for in this trial"


def test_the_parts_of_a_real_result_add_up_to_its_totals(real_result: Json) -> None:
    for name, path in (
        ("allocations", "server.allocations.per_{}"),
        ("allocated-bytes", "server.allocations.bytes_per_{}"),
        ("system-calls-by-phase", "server.syscalls_per_{}"),
        ("system-calls", "server.syscalls_per_{}"),
    ):
        panels = axes_of(draw(real_result), name)
        for column, per in enumerate(("request", "connection")):
            for place, target in enumerate(real_result["summary"][0]["targets"]):
                total = target["metrics"][path.format(per)]["median"]
                segments = _segments(panels[column], place)
                assert sum(length for _, length in segments) == pytest.approx(total, abs=1e-6)


def test_only_fresh_memory_allocates_to_parse(real_result: Json) -> None:
    panels = axes_of(draw(real_result), "allocations")
    names = [text.get_text() for text in panels[0].get_yticklabels()]
    assert names == ["thread-fresh", "pool-reused"]
    assert len(_segments(panels[0], 0)) == 1 and _segments(panels[0], 1) == []
    legend = panels[1].get_legend()
    assert legend is not None
    assert "parse" in [text.get_text() for text in legend.get_texts()]
