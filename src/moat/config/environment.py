"""Variables that a run takes from the caller's environment, in the notation of Compose. Pure.

A value may contain `${NAME}` or `$NAME`; `${NAME:-text}` and `${NAME-text}` for where there is no such
variable; `${NAME:?message}` and `${NAME?message}`, which say why it has to be there; `${NAME:+text}` and
`${NAME+text}` for where there is one. With the colon, an empty variable is as good as none. `$$` is a
dollar sign. A name without a value takes the variable of that name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from moat.config.fields import Field
from moat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Value = str | None
    """The value that a file gives a variable; `None` where it has the name alone."""

_PIECE: Final = re.compile(
    r"(?P<text>[^$]+)|(?P<dollar>\$\$)|\$(?P<plain>[A-Za-z_]\w*)"
    r"|\$\{(?P<name>[A-Za-z_]\w*)(?P<operator>:?[-?+])?",
    re.ASCII | re.DOTALL,
)
_INNER: Final = re.compile(r"[^${}]+|\$\$|\$\{|\$|[{}]", re.DOTALL)
_HOW: Final = "write $$ for a dollar sign, and ${NAME} or ${NAME:-text} for a variable"


def check(name: str, value: Value) -> None:
    """Check a name, and that every reference in its value can be read. Raises `ValueError`."""
    if not name or "=" in name:
        raise ValueError(f"{name!r} is not the name of a variable")
    if value is not None:
        _resolve(value, {}, lambda _name, _message: "")


FIELD: Final = Field(
    "variables",
    "Environment variables of the command. A name without a value takes the caller's, and a value may"
    " contain `${NAME}`, `${NAME:-text}` and `${NAME:?message}`; `$$` is a dollar sign.",
    each=check,
)


def resolve(
    variables: Mapping[str, Value], caller: Mapping[str, str], origin: str
) -> dict[str, str]:
    """Return variables with what they take from the caller's environment.

    Raises `UsageError` for one that isn't there. `origin` is the file that the variables are from.
    """
    return {name: _value(name, value, caller, origin) for name, value in variables.items()}


def parse_env(variables: Sequence[str], caller: Mapping[str, str]) -> dict[str, str]:
    """Parse options like `K=V`, or `K` for a variable of the caller's. Raises `UsageError`."""
    parsed: dict[str, str] = {}
    for each in variables:
        name, equals, value = each.partition("=")
        if not name:
            raise UsageError(f"{each!r} is not a variable", "Write -e NAME=VALUE or -e NAME")
        if equals:
            parsed[name] = value
        elif name in caller:
            parsed[name] = caller[name]
        else:
            raise UsageError(f"-e {name}: there is no such variable here", f"Write {name}=VALUE")
    return parsed


def _value(variable: str, value: Value, caller: Mapping[str, str], origin: str) -> str:
    def missing(name: str, message: str) -> str:
        reason = message or f"there is no variable {name} here"
        raise UsageError(
            f"{origin}: env.{variable}: {reason}",
            f"Set {name}, or give the value: moat run -e {variable}=VALUE",
        )

    if value is None:
        return caller[variable] if variable in caller else missing(variable, "")
    try:
        return _resolve(value, caller, missing)
    except ValueError as exc:
        raise UsageError(f"{origin}: env.{variable}: {exc}") from exc


def _resolve(value: str, caller: Mapping[str, str], missing: Callable[[str, str], str]) -> str:
    """Return a value with its references replaced. Raises `ValueError` for one that can't be read."""
    resolved: list[str] = []
    place = 0
    while place < len(value):
        piece = _PIECE.match(value, place)
        if piece is None:
            raise ValueError(f"{value[place : place + 20]!r}: {_HOW}")
        place = piece.end()
        if piece["name"] is None:
            resolved.append(_simple(piece, caller, missing))
            continue
        end = _closing(value, place)
        word = value[place:end]
        if word and piece["operator"] is None:
            raise ValueError(f"{value[piece.start() : end + 1]!r}: {_HOW}")
        # What isn't used is read, too, so that a mistake in it shows before it matters.
        text = _resolve(word, caller, missing if _is_used(piece, caller) else _nothing)
        resolved.append(_chosen(piece, text, caller, missing))
        place = end + 1
    return "".join(resolved)


def _simple(
    piece: re.Match[str], caller: Mapping[str, str], missing: Callable[[str, str], str]
) -> str:
    if piece["text"] is not None:
        return piece["text"]
    if piece["dollar"] is not None:
        return "$"
    name = piece["plain"]
    return caller[name] if name in caller else missing(name, "")


def _closing(value: str, place: int) -> int:
    """Return the place of the brace that closes a reference, past the references in it."""
    depth = 1
    for token in _INNER.finditer(value, place):
        depth += {"${": 1, "}": -1}.get(token[0], 0)
        if not depth:
            return token.start()
    raise ValueError(f"{value!r} has a ${{ without its }}")


def _is_there(piece: re.Match[str], caller: Mapping[str, str]) -> bool:
    name = piece["name"]
    return bool(caller.get(name)) if (piece["operator"] or "").startswith(":") else name in caller


def _is_used(piece: re.Match[str], caller: Mapping[str, str]) -> bool:
    """Return whether the text behind the operator counts."""
    return _is_there(piece, caller) == (piece["operator"] or "").endswith("+")


def _chosen(
    piece: re.Match[str],
    text: str,
    caller: Mapping[str, str],
    missing: Callable[[str, str], str],
) -> str:
    name, operator = piece["name"], piece["operator"] or ""
    if operator.endswith("+"):
        return text if _is_there(piece, caller) else ""
    if _is_there(piece, caller):
        return caller[name]
    return text if operator.endswith("-") else missing(name, text)


def _nothing(_name: str, _message: str) -> str:
    return ""
