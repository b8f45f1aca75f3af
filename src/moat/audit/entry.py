"""Entries of an audit log, as lines of canonical JSON. Pure.

Of the numbers of JSON, entries have integers alone. For these, `json` writes what RFC 8785 asks for; the
tests compare it with a library that implements all of that.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_INTEGER: Final = 2**53 - 1
"""JSON's numbers are doubles for many readers (RFC 7493 2.2), so no integer may be greater."""
SALT_BYTES: Final = 16


def canonical(value: Any) -> bytes:
    """Return canonical JSON (RFC 8785). Raises `ValueError` for what entries don't have.

    That is: numbers that are no such integers, and keys beyond ASCII, whose order would differ.
    Text that is no valid Unicode is escaped before (`storable`).
    """
    _check(value)
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode()


def _check(value: Any) -> None:
    match value:
        case None | bool() | str():
            return
        case int() if abs(value) <= MAX_INTEGER:
            return
        case dict():
            for key, each in value.items():  # pyright: ignore[reportUnknownVariableType]  checked here
                if not (isinstance(key, str) and key.isascii()):
                    raise ValueError(f"{key!r} can't be a key in an entry")
                _check(each)
        case list() | tuple():
            for each in value:  # pyright: ignore[reportUnknownVariableType]  as above
                _check(each)
        case _:
            raise ValueError(f"{value!r} can't be in an entry")


def storable(value: Any) -> Any:
    """Return a value as an entry can have it: bytes of no text escaped, fractions in millionths."""
    match value:
        case str():
            return value.encode(errors="backslashreplace").decode()
        case float():
            return round(value * 1_000_000)
        case dict():
            return {str(key): storable(each) for key, each in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  any JSON
        case list() | tuple():
            return [storable(each) for each in value]  # pyright: ignore[reportUnknownVariableType]  as above
        case _:
            return value


def private_part(data: Mapping[str, Any], salt: bytes) -> bytes:
    """Return what an entry is about, as it is hashed: the salt keeps others from guessing it."""
    return canonical({"data": data, "salt": salt.hex()})


def entry(*, run: str, seq: int, prev: str, time: str, kind: str, private: bytes) -> bytes:
    """Return the line of an entry, without its private part."""
    return canonical(
        {
            "content": hashlib.sha256(private).hexdigest(),
            "kind": kind,
            "prev": prev,
            "run": run,
            "seq": seq,
            "time": time,
            "v": 1,
        }
    )
