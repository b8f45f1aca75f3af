r"""Templates for lines of output, in the notation of Docker's and gh's `--format`. Pure.

`{{.name}}` stands for a field of the JSON object, `{{.supervisor.pid}}` for a field of a field, and
`{{json .command}}` or `{{json .}}` for one as JSON. Fields may be written in any case. `\t` and `\n` are
a tab and a line's end. A template that begins with `table ` makes a table with a header.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from moat.cli.output import table
from moat.errors import UsageError
from moat.printable import without_controls

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_PIECE: Final = re.compile(r"\{\{(.*?)\}\}|\\([tn])", re.DOTALL)
_FIELD: Final = re.compile(r"\s*(json\s+)?\.((?:\w+)(?:\.\w+)*)?\s*")
_HINT: Final = "Write fields like {{.name}} or {{json .command}}"
_ESCAPED: Final = {"t": "\t", "n": "\n"}


class _Field(NamedTuple):
    path: tuple[str, ...]
    as_json: bool

    def text(self, row: Mapping[str, Any]) -> str:
        value = _value(row, self.path)
        if self.as_json:
            return json.dumps(value, ensure_ascii=False)
        match value:
            case None:
                return ""
            case bool():
                return str(value).lower()
            case list():
                return without_controls(" ".join(map(str, value)))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]  JSON
            case dict():
                return json.dumps(value, ensure_ascii=False)
            case _:
                return without_controls(str(value))


class Template(NamedTuple):
    """A template that has been read."""

    pieces: tuple[str | _Field, ...]
    is_table: bool

    @classmethod
    def parse(cls, text: str) -> Template:
        """Read a template. Raises `UsageError`."""
        is_table = text.startswith("table ")
        return cls(tuple(_pieces(text.removeprefix("table "))), is_table)

    def line(self, row: Mapping[str, Any]) -> str:
        """Return the line of one object. Raises `UsageError` for a field that it doesn't have."""
        return "".join(each if isinstance(each, str) else each.text(row) for each in self.pieces)

    def lines(self, rows: Sequence[Mapping[str, Any]]) -> str:
        """Return a line for each object, or the table. Raises `UsageError` as `line` does."""
        lines = [self.line(row) for row in rows]
        if not self.is_table:
            return "".join(f"{line}\n" for line in lines)
        cells = [line.split("\t") for line in (self._header(), *lines)]
        return table(cells[0], cells[1:])

    def _header(self) -> str:
        return "".join(
            each if isinstance(each, str) else ".".join(each.path).upper() for each in self.pieces
        )


def chosen(row: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return the fields of an object with these names. Raises `UsageError` for one that isn't there."""
    return {name: _value(row, tuple(name.split("."))) for name in names}


def _pieces(text: str) -> Iterable[str | _Field]:
    place = 0
    for piece in _PIECE.finditer(text):
        if before := text[place : piece.start()]:
            yield before
        place = piece.end()
        yield _ESCAPED[piece[2]] if piece[2] else _field(piece[1])
    if "{{" in text[place:]:
        raise UsageError(f"{text[place:]!r} has no }}}}", _HINT)
    if rest := text[place:]:
        yield rest


def _field(text: str) -> _Field:
    found = _FIELD.fullmatch(text)
    if found is None or not (found[1] or found[2]):
        raise UsageError(f"{{{{{text}}}}} is not a field", _HINT)
    path = tuple(found[2].split(".")) if found[2] else ()
    return _Field(path, as_json=found[1] is not None)


def _value(row: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = row
    for name in path:
        known = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
        wanted = _plain(name)
        matching = [key for key in known if _plain(key) == wanted]
        if not matching:
            raise UsageError(f"there is no field {'.'.join(path)!r}", f"Known: {', '.join(row)}")
        value = known[matching[0]]
    return value


def _plain(name: str) -> str:
    return name.replace("_", "").lower()
