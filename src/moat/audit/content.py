"""The content of an entry, as far as the verifier needs it. Pure."""

from __future__ import annotations

import json
from typing import Any, NamedTuple, cast


class Content(NamedTuple):
    """What a content says of files and keys."""

    commits: dict[str, str]
    """The hashes of files by their names."""
    void: list[str]
    """Names of files that don't count any more."""
    public: object

    def named_key(self) -> str:
        """Return the public key that it names. Raises `ValueError`."""
        if not isinstance(self.public, str):
            raise ValueError("it names no key")  # noqa: TRY004  as for all that can't be read
        return self.public


def read_content(private: bytes) -> Content:
    """Read a content. Raises `ValueError` for one that Moat doesn't write."""
    data = _object(_object(json.loads(utf8(private), parse_constant=_refuse)).get("data"))
    commits, void = _object(data.get("commits", {})), data.get("void", [])
    if not isinstance(void, list):
        raise ValueError("it is no content")  # noqa: TRY004  as above
    words = [*commits.values(), *cast("list[object]", void)]
    if not all(isinstance(each, str) for each in words):
        raise ValueError("it is no content")
    return Content(cast("dict[str, str]", commits), cast("list[str]", void), data.get("public"))


def utf8(data: bytes) -> str:
    """Return data as text. Raises `ValueError`."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None


def _refuse(word: str) -> None:
    """Refuse NaN and the like, which Python takes and JSON does not have."""
    raise ValueError(f"{word} is no JSON")


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("it is no object")  # noqa: TRY004  as above
    return cast("dict[str, Any]", value)
