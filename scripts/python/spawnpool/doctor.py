"""The command `doctor`: what this machine can and cannot measure, and the mend.

It is to work where things are missing: its text needs no package, and checks that do are told as not
tried."""
import json
import textwrap
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from spawnpool import paths
from spawnpool.child import Interruption
from spawnpool.doctor_perf import examine_perf
from spawnpool.doctor_programs import examine_programs, examine_python
from spawnpool.finding import LIMITED, MISSING, OK, Finding, not_tried

SCHEMA_VERSION = 1
WIDTH = 100


def doctor(as_json: bool, root: Path = Path("/")) -> int:
    """Examines, and prints what was found as a text or as JSON (results/doctor.schema.json). Returns
    the exit status: 0 `run quick` can be measured, 1 something that it needs is missing, 128 + the
    signal that ended it. `root` is where the kernel's files are, / but for tests."""
    with Interruption() as interruption:
        findings = examine(root, interruption)
    if interruption.signal is not None:
        return 128 + interruption.signal
    if as_json:
        print(json.dumps(to_json(findings), indent=2))
    else:
        print(to_text(findings), end="")
    return 0 if measurable(findings) else 1


def measurable(findings: list[Finding]) -> bool:
    """Whether all is there that `run quick` needs."""
    return not any(finding.needed and finding.state == MISSING for finding in findings)


def examine(root: Path, interruption: Interruption) -> list[Finding]:
    """Every check, in some seconds. Incomplete when the user interrupted it."""

    def machine() -> list[Finding]:
        from spawnpool.doctor_machine import examine_machine

        return examine_machine(root)

    def limits() -> list[Finding]:
        from spawnpool.doctor_limits import examine_limits

        return examine_limits(root)

    def trial() -> list[Finding]:
        from spawnpool.doctor_trial import examine_trial

        return examine_trial(interruption)

    groups: tuple[tuple[str, Callable[[], list[Finding]]], ...] = (
        ("python", examine_python),
        ("programs", examine_programs),
        ("machine", machine),
        ("limits", limits),
        ("perf", examine_perf),
        ("trial", trial),
    )
    findings: list[Finding] = []
    for name, group in groups:
        if interruption.signal is not None:
            break
        try:
            findings += group()
        except ModuleNotFoundError as error:
            findings.append(not_tried(name, f"the Python module '{error.name}' is missing"))
    return findings


def to_json(findings: list[Finding]) -> dict[str, object]:
    """The document that results/doctor.schema.json describes."""
    return {
        "schema_version": SCHEMA_VERSION,
        "spawnpool": paths.version(),
        "measurable": measurable(findings),
        "checks": [finding.to_json() for finding in findings],
    }


def to_text(findings: list[Finding]) -> str:
    """A paragraph for each check, at most WIDTH columns wide but for long words and for mends, which
    are to be copied."""
    counts = Counter(finding.state for finding in findings)
    verdict = "can" if measurable(findings) else "cannot"
    states = ", ".join(f"{counts[state]} {state}" for state in (OK, LIMITED, MISSING))
    names = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        head = f"{finding.state:<8} {finding.name:<{names}}  "
        lines += _wrapped(head, finding.found)
        indent = " " * len(head)
        if finding.follows:
            lines += _wrapped(f"{indent}so: ", finding.follows)
        if finding.null_fields:
            lines += _wrapped(f"{indent}null: ", ", ".join(finding.null_fields))
        if finding.mend:
            lines.append(f"{indent}mend: {finding.mend}")
    lines += ["", f"This machine {verdict} measure `run quick`: {states}."]
    return "\n".join(lines) + "\n"


def _wrapped(head: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )
