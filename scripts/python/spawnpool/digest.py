"""The digest of a result file: whether it is, byte for byte, what a run wrote after checking it.

It is the first member of the document, and of all that follows it. Against mistakes, not against forgery:
who edits a file can make its digest anew."""
import hashlib
import re

MEMBER = "sha256"
_HEAD = re.compile(rb'\{\n "sha256": "([0-9a-f]{64})",')


def with_digest(text: str) -> str:
    """An object of JSON, its first member on a line of its own, with its digest before it."""
    rest = text.removeprefix("{")
    return f'{{\n "{MEMBER}": "{hashlib.sha256(rest.encode()).hexdigest()}",{rest}'


def is_as_written(content: bytes) -> bool:
    """Whether the content of a file has its own digest; of one without any it is not known."""
    head = _HEAD.match(content)
    if head is None:
        return False
    return hashlib.sha256(memoryview(content)[head.end() :]).hexdigest().encode() == head[1]
