"""The command line of `run`."""
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunOptions:
    """What `run` is asked for; None where an option is not given."""

    suite: str
    out: Path | None = None
    settings: Sequence[str] = ()
    targets: Sequence[str] | None = None
    blocks: int | None = None
    driver: str | None = None
    budget: str | None = None
    until_resolved: int | None = None
    seed: int | None = None
    resume: bool = False
    dry_run: bool = False

    def to_resume(self, out: Path) -> str:
        """The command line, for a shell, that goes on with the result this one began."""
        words = ["scripts/spawnpool", "run", self.suite]
        for setting in self.settings:
            words += ["--set", setting]
        words += ["--targets", ",".join(self.targets)] if self.targets is not None else []
        words += ["--blocks", str(self.blocks)] if self.blocks is not None else []
        words += ["--driver", self.driver] if self.driver is not None else []
        words += ["--budget", self.budget] if self.budget is not None else []
        if self.until_resolved is not None:
            words += ["--until-resolved", str(self.until_resolved)]
        return shlex.join([*words, "--out", str(out), "--resume"])
