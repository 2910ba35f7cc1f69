from typing import Any

import pytest

from spawnpool.documents import Json
from spawnpool.load import contradiction, load_of, load_words, point_name, point_title
from spawnpool.load import timeout_contradiction


def _load(**keys: Any) -> Json:
    return {"connections": 16, "requests_per_connection": 0, **keys}


def test_a_point_goes_before_its_scenario_and_merges_with_it() -> None:
    scenario = {
        "name": "slow",
        "request": {},
        "requests_per_connection": 0,
        "connections": 16,
        "background": {"bytes_per_second": 100, "idle": 3},
    }
    assert load_of(scenario, {"background": {"idle": 5}, "connections": 2}) == {
        "requests_per_connection": 0,
        "connections": 2,
        "background": {"bytes_per_second": 100, "idle": 5},
    }
    assert scenario["background"] == {"bytes_per_second": 100, "idle": 3}


@pytest.mark.parametrize(
    "point, title",
    [
        ({"connections": 16}, "connections 16"),
        ({"connections": 10_000, "pipeline": 4}, "connections 10,000, pipeline 4"),
        ({"rate": 12_345.6}, "rate 12,345.6/s"),
        ({"rate_fraction": 0.5}, "rate 50 %"),
        ({"rate_fraction": 0.125, "rate": 12_345.6}, "rate 12.5 %"),
        ({"requests_per_connection": 7}, "requests per connection 7"),
        ({"think_time": "5ms", "connections": 2}, "connections 2, think time 5ms"),
        ({"arrivals": "uniform", "rate": 10}, "rate 10/s, arrivals uniform"),
        ({"burst": {"size": 64, "every": "100ms"}}, "bursts of 64 every 100ms"),
        ({"background": {"idle": 1000}}, "idle 1,000"),
        (
            {"background": {"slow_readers": 8, "bytes_per_second": 1000}},
            "slow readers 8 at 1,000 bytes/s",
        ),
        ({"shutdown_after": "500ms"}, "shutdown after 500ms"),
    ],
)
def test_a_title_says_what_varies(point: Json, title: str) -> None:
    assert point_title("sweep", point) == f"sweep, {title}"


@pytest.mark.parametrize(
    "load",
    [
        _load(),
        _load(requests_per_connection=8, pipeline=8, think_time="1ms"),
        _load(rate=100, arrivals="uniform", shutdown_after="999ms"),
        _load(rate_fraction=0.5, arrivals="poisson"),
        _load(burst={"size": 64, "every": "1s"}),
        _load(background={"bytes_per_second": 3, "slow_senders": 2}),
        _load(background={"idle": 2, "slow_readers": 0}),
    ],
)
def test_a_load_the_builtin_driver_can_make(load: Json) -> None:
    assert contradiction(load, "builtin", "1s") is None
    assert load_words(load)


@pytest.mark.parametrize(
    "load, driver, words",
    [
        ({"requests_per_connection": 0}, "wrk", "connections: is missing here and in the"),
        (_load(rate=1, rate_fraction=1), "builtin", "rate_fraction: contradicts rate: give one of"),
        (_load(rate=1, burst={}), "builtin", "burst: contradicts rate: "),
        (_load(arrivals="poisson"), "builtin", "arrivals: says how a rate is spread"),
        (_load(arrivals="poisson", burst={}), "builtin", "arrivals: says how a rate is spread"),
        (_load(think_time="1s", rate=1), "builtin", "think_time: contradicts rate: in open loop"),
        (_load(requests_per_connection=1, pipeline=2), "builtin", "pipeline: 2 requests"),
        (_load(background={"slow_senders": 1}), "builtin", "background: slow clients need their"),
        (_load(burst={"size": 2, "every": "2s"}), "builtin", "burst: one every 2s is none in a"),
        (_load(shutdown_after="1s"), "builtin", "shutdown_after: 1s is not within the window of"),
        (_load(requests_per_connection=2), "wrk", "requests_per_connection: the driver wrk keeps"),
        (_load(pipeline=1), "wrk", "pipeline: the driver wrk has no such load; take the driver b"),
        (_load(rate_fraction=0.5), "wrk", "rate_fraction: the driver wrk has no such load"),
    ],
)
def test_a_contradiction_names_the_key(load: Json, driver: str, words: str) -> None:
    told = contradiction(load, driver, "1s")
    assert told is not None and told.startswith(words)


@pytest.mark.parametrize(
    "timeout, driver, wrong",
    [
        ("2s", "wrk", False),
        ("2s", "builtin", False),
        ("1ms", "builtin", False),
        ("1m", "wrk", False),
        ("1500ms", "wrk", True),
        ("500ms", "wrk", True),
        ("999us", "builtin", True),
        ("61s", "builtin", True),
        ("2m", "wrk", True),
    ],
)
def test_timeouts_are_as_fine_as_the_driver_takes_them(
    timeout: str, driver: str, wrong: bool
) -> None:
    assert (timeout_contradiction(timeout, driver) is not None) == wrong


@pytest.mark.parametrize(
    "point, name",
    [
        ({"connections": 16}, "connections:16"),
        ({"pipeline": 4, "connections": 16}, "connections:16/pipeline:4"),
        ({"burst": {"size": 64, "every": "100ms"}}, "burst.every:100ms/burst.size:64"),
        ({"rate_fraction": 0.5, "rate": 61234.5}, "rate_fraction:0.5"),
        ({"rate": 61234.5}, "rate:61234.5"),
        ({"think_time": '1/2 "µs"\n'}, "think_time:1%2F2%20%22%C2%B5s%22%0A"),
    ],
)
def test_a_point_has_the_same_name_in_every_run(point: Json, name: str) -> None:
    assert point_name(point) == name
