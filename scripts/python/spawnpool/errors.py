"""What the user got wrong, as one line."""
import difflib
from collections.abc import Iterable


class UsageError(Exception):
    """A mistake the user can mend. Its text is one line that names the thing and the mend; exit 2."""


class Unmeasured(Exception):
    """The reason for which something cannot be told."""


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that is not among `known`, with the closest one suggested."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return UsageError(f"unknown {kind} '{name}': {hint}known: {', '.join(names)}")
