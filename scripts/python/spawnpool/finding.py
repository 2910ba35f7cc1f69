"""What the doctor found out about one thing that measurements need."""
from dataclasses import asdict, dataclass

from typing import Any

OK, LIMITED, MISSING = "ok", "limited", "missing"


@dataclass(frozen=True)
class Finding:
    """One check. Texts are single lines; "" where there is nothing to say."""

    name: str
    state: str  # OK, LIMITED: it measures less or worse, MISSING
    found: str  # what there is, or why it could not be tried
    follows: str = ""  # for measurements; nothing follows from OK
    null_fields: tuple[str, ...] = ()  # dotted paths within a trial that become null
    mend: str = ""  # a command for a shell
    needed: bool = False  # without it `run quick` measures nothing

    def to_json(self) -> dict[str, Any]:
        """As results/doctor.schema.json has it."""
        texts = {key: getattr(self, key) or None for key in ("follows", "mend")}
        return {**asdict(self), **texts, "null_fields": list(self.null_fields)}


def not_tried(name: str, why: str, needed: bool = False) -> Finding:
    """A check that has to wait for another one's mend."""
    return Finding(name, MISSING, f"not tried: {why}", needed=needed)
