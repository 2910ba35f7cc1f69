import shlex
from pathlib import Path

from spawnpool.options import RunOptions


def test_the_line_to_resume_has_what_the_suite_depends_on() -> None:
    options = RunOptions(
        "quick",
        settings=["duration=2s", """targets.a b.options=["it's"]"""],
        targets=["a", "b"],
        blocks=3,
        driver="wrk",
        budget="10m",
        until_resolved=9,
        seed=7,
    )
    assert shlex.split(options.to_resume(Path("my result.json"))) == [
        *("scripts/spawnpool", "run", "quick", "--set", "duration=2s", "--set"),
        *(
            """targets.a b.options=["it's"]""",
            "--targets",
            "a,b",
            "--blocks",
            "3",
            "--driver",
            "wrk",
        ),
        *("--budget", "10m", "--until-resolved", "9", "--out", "my result.json", "--resume"),
    ]
    assert (
        RunOptions("quick").to_resume(Path("x")) == "scripts/spawnpool run quick --out x --resume"
    )
