import copy
from typing import Any

import pytest

from spawnpool.documents import Json
from spawnpool.errors import UsageError
from spawnpool.overrides import with_settings
from spawnpool.suite import load_suite


def _at(suite: Json, *steps: Any) -> Any:
    value: Any = suite
    for step in steps:
        value = value[step]
    return value


@pytest.mark.parametrize(
    "setting, steps, value",
    [
        ("duration=2s", ("duration",), "2s"),
        ("blocks=7", ("blocks",), 7),
        ("accounting=null", ("accounting",), None),
        ("limits.error_share=0", ("limits", "error_share"), 0),
        ('description="7"', ("description",), "7"),
        ("description=a = b", ("description",), "a = b"),
        ('targets.worker-pool.options=["--workers","8"]', ("targets", 1, "options", 1), "8"),
        ("targets.worker-pool.options.1=8", ("targets", 1, "options", 1), 8),
        (
            "scenarios.churn.points.0.connections=4",
            ("scenarios", 1, "points", 0),
            {"connections": 4},
        ),
        ("scenarios.churn.request.path=/json", ("scenarios", 1, "request", "path"), "/json"),
        ("cpus.server=[0]", ("cpus",), {"server": [0]}),
    ],
)
def test_a_setting_changes_the_value_at_its_path_and_no_other(
    setting: str, steps: tuple[Any, ...], value: Any
) -> None:
    suite = load_suite("quick")
    before = copy.deepcopy(suite)
    changed = with_settings(suite, [setting])
    assert _at(changed, *steps) == value and suite == before
    *way, last = steps
    place = _at(changed, *way)
    if last in _at(before, *way) or isinstance(place, list):
        place[last] = _at(before, *steps)
    else:
        del place[last]
    assert changed == before


def test_settings_add_up_and_a_name_may_have_dots() -> None:
    suite = load_suite("quick")
    suite["targets"][0]["name"], suite["targets"][1]["name"] = "a", "a.model"
    settings = [
        "targets.a.model=x",
        "targets.a.model.model=y",
        "cpus.server=[0]",
        "cpus.generator=[1]",
    ]
    with pytest.raises(UsageError, match="nothing within"):
        with_settings(suite, ["targets.a.model.name.x=y"])
    changed = with_settings(suite, settings[1:])
    assert [target["model"] for target in changed["targets"]] == ["thread-per-connection", "y"]
    assert changed["cpus"] == {"server": [0], "generator": [1]}


@pytest.mark.parametrize(
    "setting, words",
    [
        ("duration", "--set duration: write it as PATH=VALUE, such as duration=2s"),
        ("=3", "--set =3: write it as PATH=VALUE"),
        (
            "targets.wrker-pool.model=x",
            "--set targets.wrker-pool.model: unknown name 'wrker-pool': did",
        ),
        ("targets.0.model=x", "--set targets.0.model: unknown name '0': known: thread-per-conn"),
        (
            "scenarios.churn.points.1.rate=3",
            "--set scenarios.churn.points.1.rate: '1' is no place in a",
        ),
        (
            "scenarios.churn.points.x=3",
            "--set scenarios.churn.points.x: 'x' is no place in a list of 1",
        ),
        ("duration.unit=s", '--set duration.unit: there is nothing within "1s": set the whole'),
        ("targets=[", "--set targets: [ is not JSON: "),
        ("blocks=NaN", "--set blocks: NaN is no JSON number"),
    ],
)
def test_a_setting_that_leads_nowhere_is_one_line(setting: str, words: str) -> None:
    with pytest.raises(UsageError) as error:
        with_settings(load_suite("quick"), [setting])
    assert str(error.value).startswith(words) and "\n" not in str(error.value)
