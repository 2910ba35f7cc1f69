import json

from spawnpool.digest import is_as_written, with_digest

TEXT = json.dumps({"name": "µ", "values": [1, 2]}, indent=1, ensure_ascii=False) + "\n"


def test_a_document_has_its_own_digest() -> None:
    written = with_digest(TEXT)
    assert is_as_written(written.encode())
    digest = json.loads(written).pop("sha256")
    assert len(digest) == 64 and json.loads(written) == {"sha256": digest, **json.loads(TEXT)}


def test_whatever_is_changed_is_seen() -> None:
    written = with_digest(TEXT).encode()
    for at in range(len(written)):
        changed = bytearray(written)
        changed[at] ^= 1
        assert not is_as_written(bytes(changed)), written[: at + 1]
    assert not is_as_written(written[:-1])
    assert not is_as_written(written + b"\n")


def test_of_a_document_without_any_it_is_not_known() -> None:
    assert not is_as_written(TEXT.encode())
    assert not is_as_written(b"")
