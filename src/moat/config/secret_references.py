"""References to secrets, in the section `secrets` of a file: where each is, and not what it is. Pure."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from moat.config.fields import Field

if TYPE_CHECKING:
    from collections.abc import Mapping

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FORMS: Final[Mapping[str, str]] = {
    "cmd": "cmd://PROGRAM [ARGUMENT...]",
    "env": "env://VARIABLE",
    "file": "file:///PATH or file://~/PATH",
    "keyring": "keyring://SERVICE/USER",
    "op": "op://VAULT/ITEM/FIELD",
    "ssm": "ssm://[REGION]/NAME",
    "vault": "vault://PATH#FIELD",
}


@dataclass(frozen=True, slots=True)
class Reference:
    """One place where a secret is."""

    scheme: str
    """A key of `_FORMS`."""
    words: tuple[str, ...]
    """The parts of the form, in its order."""
    text: str
    """The reference as it was written."""


def parse(text: str) -> Reference:
    """Parse a reference. Raises `ValueError`."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in _FORMS:
        known = ", ".join(f"{each}://" for each in _FORMS)
        raise ValueError(f"{text[:40]!r} is no reference to a secret, which begins with {known}")
    words = _words(scheme, text, rest)
    if not words or not text.isprintable():
        raise ValueError(f"{text[:80]!r} is not of the form {_FORMS[scheme]}")
    return Reference(scheme, words, text)


def _words(scheme: str, text: str, rest: str) -> tuple[str, ...]:
    """Return the parts of a reference; none if it isn't of the form."""
    words: tuple[str, ...] = ()
    match scheme:
        case "cmd":
            words = tuple(shlex.split(rest))
        case "env":
            words = (rest,) if _VARIABLE.fullmatch(rest) else ()
        case "file" if rest.startswith(("/", "~/")) and ".." not in rest.split("/"):
            words = (rest,)
        case "keyring":
            service, _, user = rest.rpartition("/")
            words = (service, user) if service and user else ()
        case "op" if rest.count("/") >= 2 and "//" not in rest:
            words = (text,)
        case "ssm" if not rest.startswith("-"):
            region, slash, name = rest.partition("/")
            words = (region, name) if slash and name else ()
        case "vault" if not rest.startswith("-"):
            path, _, field = rest.partition("#")
            words = (path, field) if path and field else ()
        case _:
            pass
    return words


def check(name: str, text: str) -> None:
    """Check one entry of the section. Raises `ValueError`."""
    if not _VARIABLE.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a variable")
    parse(text)


FIELD: Final = Field(
    "map",
    "Variables of the command, with references to secrets that are looked up before the start."
    " The sandbox sees them.",
    each=check,
)
