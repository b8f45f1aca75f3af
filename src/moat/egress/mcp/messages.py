"""Messages of MCP in the bodies of requests: JSON-RPC 2.0, as a server may understand it. Pure.

A server decides what is called, so a message is refused if two readers of JSON could find different
things in it: a name that is given twice, or in capital letters as well, a number that isn't one, bytes
that aren't UTF-8. Of the methods, which grow in number with the protocol's versions, `tools/call` calls
a tool, and no other than `tools/list` has to do with tools.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, cast

if TYPE_CHECKING:
    from moat.egress.traffic.entry import Fields

MOST_BYTES: Final = 4 << 20
"""Bytes of a message, which is read as a whole."""
_CALL: Final = "tools/call"
_METHOD: Final = re.compile(r"tools/list|(?!tools/)[a-z]{1,50}(?:/[A-Za-z_]{1,50}){0,3}", re.ASCII)
_TOOL: Final = re.compile(r"[!-~]{1,200}", re.ASCII)
_JSON: Final = re.compile(r'application/json(?: *; *charset="?utf-8"?)?', re.IGNORECASE)


class UnclearMessageError(ValueError):
    """A message that servers may understand in different ways; the text says why, in one line."""


class Call(NamedTuple):
    """The call of a tool."""

    id: str | int | float | None
    """The name of the call, which its answer has, too."""
    tool: str
    arguments: dict[str, object]


def call_in(fields: Fields, body: bytes) -> Call | None:
    """Return the call in the body of a request; `None` for another message of the protocol.

    `fields`: those of the request's head. Raises `UnclearMessageError`.
    """
    _check_coding(fields)
    if len(body) > MOST_BYTES:
        raise UnclearMessageError(f"it is longer than {MOST_BYTES >> 20} MiB")
    message = _object(_parsed(body), "it")
    _refuse_lookalikes(message, ("jsonrpc", "id", "method", "params", "result", "error"))
    method = message.get("method")
    if method is None:
        if not {"result", "error"} & message.keys():
            raise UnclearMessageError("it has no method")
        return None
    if not isinstance(method, str) or not (method == _CALL or _METHOD.fullmatch(method)):
        raise UnclearMessageError("its method is none of the protocol's")
    return _call(message) if method == _CALL else None


def refusal(call: Call, why: str) -> bytes:
    """Return the answer to a call that is denied: a result that tells the model why."""
    content = [{"type": "text", "text": why}]
    result = {"content": content, "isError": True}
    return json.dumps({"jsonrpc": "2.0", "id": call.id, "result": result}).encode()


def _call(message: dict[str, Any]) -> Call:
    params = _object(message.get("params"), "its params")
    _refuse_lookalikes(params, ("name", "arguments"))
    tool = params.get("name")
    if not isinstance(tool, str) or not _TOOL.fullmatch(tool):
        raise UnclearMessageError("its tool has no plain name")
    name = message.get("id")
    if isinstance(name, bool | list | dict):
        raise UnclearMessageError("its id is neither text nor a number")
    arguments: dict[str, object] = {}
    if params.get("arguments") is not None:
        arguments = _object(params["arguments"], "its arguments")
        _refuse_lookalikes(arguments, ())
    return Call(name, tool, arguments)


def _check_coding(fields: Fields) -> None:
    """Refuse a body that isn't plain JSON: servers guess at others."""
    for name, value in fields:
        match name.lower():
            case b"content-encoding" if value.strip().lower() != b"identity":
                raise UnclearMessageError("it is coded")
            case b"content-type" if not _JSON.fullmatch(value.decode("latin-1").strip()):
                raise UnclearMessageError("its Content-Type is not application/json")
            case _:
                pass


def _parsed(body: bytes) -> object:
    try:
        return json.loads(
            body.decode(), object_pairs_hook=_without_duplicates, parse_constant=_not_json
        )
    except UnclearMessageError:
        raise
    except (ValueError, RecursionError):  # bytes that aren't UTF-8, too
        raise UnclearMessageError("it is not JSON") from None


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise UnclearMessageError("a name is given twice in it")
    return found


def _not_json(_constant: str) -> NoReturn:
    raise UnclearMessageError("it is not JSON")


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UnclearMessageError(f"{what} is not an object")
    return cast("dict[str, Any]", value)


def _refuse_lookalikes(found: dict[str, Any], known: tuple[str, ...]) -> None:
    """Refuse names that are one to a reader that ignores case, of each other or of what is known."""
    folded = {each.casefold(): each for each in known}
    for name in found:
        if folded.setdefault(name.casefold(), name) != name:
            raise UnclearMessageError("a name is in it in different spellings")
