import pytest

from spawnpool.durations import seconds


@pytest.mark.parametrize(
    "text, value", [("250ms", 0.25), ("10s", 10), ("2m", 120), ("1h", 3600), ("5us", 5e-6)]
)
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "s", "1", "1.5s", "-1s", "1 s", "1s\n", "1d"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError):
        seconds(text)
