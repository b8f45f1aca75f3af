"""Lines for all that a project's file opens, compared with what was agreed to. Pure.

The file's author may be hostile, so what the file opens holds only with the user's consent
(`config.consent`). Restrictions need none, but they are part of what the user agrees to: `private:
[10.0.0.0/8]` beside `policy: strict` is another thing without it, and a rule that allows is another
rule when a denial before it is gone. So a list holds both, in an order that says which restriction
comes before which opening:

1. the restrictions, but for rules;
2. the rules in the order of the file, because the first that matches decides;
3. everything else that is opened.

What is opened now was agreed to if each of its lines is in the agreed list, and if each restriction that
came before the line there comes before it here. So a file may lose what it opens and gain restrictions
without asking anybody.
"""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, cast

from moat.config.fields import Effect
from moat.printable import printable
from moat.runs.agreement import Line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from moat.config.fields import Field

Lines = tuple[Line, ...]

_ORDERED: Final = "network.rules"
_FEW: Final = 4
"""Things of a field that are named where there are too many."""
_WIDTH: Final = 160
"""Characters of a line that is shown shortened."""


@dataclass(frozen=True, slots=True)
class Change:
    """The difference between what is opened now and what was agreed to; false where there is none."""

    opened: Lines
    """Lines for what is opened now and wasn't agreed to."""
    lifted: Lines
    """Restrictions beside which something was agreed to, and which no longer come before it."""

    def __bool__(self) -> bool:
        return bool(self.opened or self.lifted)

    def __len__(self) -> int:
        return len(self.opened) + len(self.lifted)

    def texts(self, at_most: int) -> list[str]:
        """Return the difference, one line of text for each thing, shortened.

        If there are more than `at_most`, only a few of each field are there and the others are counted:
        a hostile file can't hide one kind of thing behind many of another.
        """
        few = None if len(self) <= at_most else _FEW
        return [*_texts(self.opened, "", few), *_texts(self.lifted, "no longer ", few)]

    def counts(self) -> list[str]:
        """Return the fields in the difference, each with the number of its things."""
        numbers = Counter(line.field for line in (*self.opened, *self.lifted))
        return [f"{field} ({number})" for field, number in numbers.items()]


def lines_of(fields: Mapping[str, Field], content: Mapping[str, Any]) -> Lines:
    """Return what the checked content of a file opens; empty where it opens nothing."""
    found = dict.fromkeys(_walk("", fields, content))
    if not any(line.opens for line in found):
        return ()
    rules = [line for line in found if line.field == _ORDERED]
    others = sorted(line for line in found if line.field != _ORDERED)
    return (
        *(line for line in others if not line.opens),
        *rules,
        *(line for line in others if line.opens),
    )


def changes(agreed: Lines, current: Lines) -> Change:
    """Return what is opened now beyond what was agreed to."""
    known = frozenset(agreed)
    nowhere = len(current)
    places = {line: place for place, line in enumerate(current)}
    lifted: list[Line] = []
    first_opening = nowhere
    for line in reversed(agreed):
        place = places.get(line, nowhere)
        if line.opens:
            first_opening = min(first_opening, place)
        elif place > first_opening:
            lifted.append(line)
    opened = tuple(line for line in current if line.opens and line not in known)
    return Change(opened, tuple(reversed(lifted)))


def nearest(agreements: Iterable[Lines], current: Lines) -> Lines:
    """Return the agreed list from which the current one differs least, of several the first."""
    return min(agreements, key=lambda agreed: len(changes(agreed, current)), default=())


def shown(line: Line, width: int | None = None) -> str:
    """Return a line as text for a terminal, cut at `width`: its value may try to act on one."""
    text = printable(f"{line.field}: {line.value}")
    if width is None or len(text) <= width:
        return text
    return f"{text[:width]}... ({len(text) - width} more characters)"


def _texts(lines: Lines, prefix: str, few: int | None) -> Iterator[str]:
    for field, group in groupby(lines, key=attrgetter("field")):
        known = list(group)
        yield from (prefix + shown(line, _WIDTH) for line in known[:few])
        if few is not None and len(known) > few:
            yield f"{prefix}{field}: and {len(known) - few} more"


def _walk(prefix: str, fields: Mapping[str, Field], content: Mapping[str, Any]) -> Iterator[Line]:
    for name, known in fields.items():
        if name not in content:
            continue
        if known.type == "object":
            yield from _walk(f"{prefix}{name}.", known.fields, content[name])
            continue
        for raw, text in _values(known, content[name]):
            effect = known.effect if isinstance(known.effect, Effect) else known.effect(raw)
            if effect is not Effect.NEUTRAL:
                yield Line(f"{prefix}{name}", text, effect is Effect.OPENS)


def _values(known: Field, value: Any) -> Iterator[tuple[Any, str]]:
    """Yield the parts of a value that are agreed to one by one: as they are, and as text."""
    match known.type:
        case "map":
            yield from ((each, f"{each}={value[each]}") for each in value)
        case "variables":
            yield from ((each, _variable(each, value[each])) for each in value)
        case "objects":
            yield from (
                (each, ", ".join(f"{name}: {each[name]}" for name in each)) for each in value
            )
        case "named":
            yield from ((each, _named(each, value[each])) for each in value)
        case "command":
            words = shlex.split(value) if isinstance(value, str) else value
            yield value, shlex.join(words)
        case "enum" if known.effect is Effect.NARROWS:
            # A stricter value implies the looser ones, and so has their lines, too.
            degrees = known.choices[1 : known.choices.index(value) + 1]
            yield from ((each, f"at least {each}") for each in degrees)
        case _ if isinstance(value, list | tuple):
            yield from ((each, str(each)) for each in cast("Iterable[Any]", value))
        case "boolean":
            yield value, str(value).lower()
        case _:
            yield value, str(value)


def _named(name: str, fields: Mapping[str, Any]) -> str:
    """Return an object of a map as text, with all that is in it."""
    return ", ".join([name, *(f"{each}: {text}" for each, text in _flat("", fields))])


def _flat(prefix: str, fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from _flat(f"{prefix}{name}.", cast("dict[str, Any]", value))
        else:
            yield f"{prefix}{name}", str(value)


def takes_from_caller(value: str) -> bool:
    """Return whether a line of `env` with this value takes a variable that is set where Moat is called.

    See `config.environment` for the notation. No name has an equals sign.
    """
    return "=" not in value or "$" in value.replace("$$", "")


def _variable(name: str, value: str | None) -> str:
    return f"{name}, as it is set where moat is called" if value is None else f"{name}={value}"
