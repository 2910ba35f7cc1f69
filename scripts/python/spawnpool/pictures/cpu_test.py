import statistics

import pytest
from matplotlib.axes import Axes

from spawnpool.documents import Json
from spawnpool.metrics import leaf
from spawnpool.pictures.cpu import draw
from spawnpool.summary import summarize
from spawnpool.testing import axes_of, caption_of, example_result


def _bars(axes: Axes) -> list[tuple[float, float]]:
    return [(bar.get_x(), bar.get_width()) for bar in axes.patches]


def test_the_server_s_time_is_divided_and_the_generator_s_stands_beside_it() -> None:
    result = example_result()
    axes, beside = axes_of(draw(result), "cpu")[:2]
    metrics = result["summary"][0]["targets"][0]["metrics"]
    user, system, generator = (
        metrics[path]["median"]
        for path in (
            "server.cpu_user_us_per_request",
            "server.cpu_system_us_per_request",
            "load.generator.cpu_us_per_request",
        )
    )
    assert _bars(axes)[:2] == [(0, user), (user, system)] and _bars(beside)[0] == (0, generator)
    for panel in (axes, beside):
        assert [len(line.get_xdata()) for line in panel.lines] == [6, 6]
        assert panel.get_xlim()[0] == 0
    assert "The generator polls" in caption_of(draw(result), "cpu")
    assert "n = 6" in caption_of(draw(result), "cpu")


def test_what_was_not_measured_is_said() -> None:
    result = example_result()
    paths = [f"server.cpu_{kind}us_per_request" for kind in ("", "user_", "system_")]
    for trial in result["trials"]:
        if trial["target"] == "worker-pool":
            trial["server"].update({path.removeprefix("server."): None for path in paths})
            trial["unmeasured"].update({path: "/proc is not there" for path in paths})
    result["summary"] = summarize(result["suite"], result["trials"])
    axes, beside = axes_of(draw(result), "cpu")[:2]
    assert len(_bars(axes)) == 2 and len(_bars(beside)) == 2
    assert "not measured" in [text.get_text() for text in axes.texts]
    for trial in result["trials"]:
        trial["server"].update({path.removeprefix("server."): None for path in paths})
        trial["unmeasured"].update({path: "/proc is not there" for path in paths})
    result["summary"] = summarize(result["suite"], result["trials"])
    (picture,) = draw(result)
    assert picture.figure is None and picture.reason == "/proc is not there"


def test_a_real_result_is_drawn_where_the_server_lived_to_the_end(real_result: Json) -> None:
    panels = axes_of(draw(real_result), "cpu")
    titles = [axes.get_title() for axes in panels[::2]]
    assert titles == ["kept, connections 4: server", "burst, bursts of 4 every 50ms: server"]
    trials = [
        t for t in real_result["trials"] if (t["target"], t["scenario"]) == ("thread-fresh", "kept")
    ]
    total = statistics.median(leaf(trial, "server.cpu_us_per_request") for trial in trials)
    assert sum(length for _, length in _bars(panels[0])[:2]) == pytest.approx(total)
