"""The state of `moat top`: which runs there are, which one is chosen, and what a key does. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from moat.cli.cockpit import table
from moat.columns import fitted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moat.cli.cockpit.table import Row

HELP: Final = "Enter attach   s stop   K kill   d destroy   a all or active   q quit"
_EMPTY: Final = "No runs. Start one: moat run -- COMMAND"
_AROUND: Final = 4
"""Rows that aren't runs: a title, the header, and two at the bottom."""
_KEY: Final = re.compile(rb"\x1b(?:\[[0-9;]*[A-Za-z~]|O[A-Z])|\x1b|[^\x1b]", re.DOTALL)
_KEYS: Final = {
    **dict.fromkeys((b"k", b"\x1b[A", b"\x1bOA", b"\x10"), "up"),
    **dict.fromkeys((b"j", b"\x1b[B", b"\x1bOB", b"\x0e"), "down"),
    **dict.fromkeys((b"\x1b[5~", b"\x02"), "page up"),
    **dict.fromkeys((b"\x1b[6~", b"\x06", b" "), "page down"),
    **dict.fromkeys((b"g", b"\x1b[H", b"\x1bOH", b"\x1b[1~"), "first"),
    **dict.fromkeys((b"G", b"\x1b[F", b"\x1bOF", b"\x1b[4~"), "last"),
    **dict.fromkeys((b"\r", b"\n"), "attach"),
    **dict.fromkeys((b"q", b"\x03", b"\x04"), "quit"),
    b"s": "stop",
    b"K": "kill",
    b"d": "destroy",
    b"a": "all",
    b"\x0c": "repaint",
}
_QUESTIONS: Final = {
    "stop": "Stop {}? It is asked to end, and killed if it doesn't in time.",
    "kill": "Kill {} at once?",
    "destroy": "Destroy {}? Its output and its record are removed, its workspace isn't.",
}


def keys(data: bytes) -> list[bytes]:
    """Split what was typed into keys."""
    return _KEY.findall(data)


class Command(NamedTuple):
    """An act to carry out: `attach`, `stop`, `kill` or `destroy` a run; `quit`, `repaint` or `all`."""

    what: str
    run: Row | None = None


@dataclass
class Cockpit:
    """The table as it is shown, and the run chosen in it."""

    rows: Sequence[Row] = ()
    selected: str = ""
    """The id of the chosen run."""
    message: str = ""
    everything: bool = False
    """Runs that have ended are shown, too."""
    size: tuple[int, int] = (80, 24)
    """Columns and rows of the terminal."""
    _offset: int = 0
    """The first row that is shown."""
    _asked: Command | None = field(default=None)
    """The act that waits for the user's yes."""

    @property
    def _page(self) -> int:
        return max(1, self.size[1] - _AROUND)

    @property
    def _place(self) -> int:
        return next((at for at, row in enumerate(self.rows) if row.id == self.selected), 0)

    def show(self, rows: Sequence[Row]) -> None:
        """Take the newest rows. A chosen run that is gone makes way for the one in its place."""
        place = self._place
        self.rows = rows
        if rows and all(row.id != self.selected for row in rows):
            self.selected = rows[min(place, len(rows) - 1)].id

    # --- keys ---

    def press(self, key: bytes) -> Command | None:
        """Do what a key says; return what isn't done by the table itself."""
        asked, self._asked, self.message = self._asked, None, ""
        if asked is not None:
            return asked if key in {b"y", b"Y"} else None
        what = _KEYS.get(key, "")
        match what:
            case "up" | "down" | "page up" | "page down" | "first" | "last":
                self._move(what)
                return None
            case "quit" | "repaint" | "all":
                return Command(what)
            case "":
                return None
            case _:
                return self._command(what)

    def _move(self, what: str) -> None:
        if not self.rows:
            return
        last = len(self.rows) - 1
        steps = {"up": -1, "down": 1, "page up": -self._page, "page down": self._page}
        place = {"first": 0, "last": last}.get(what, self._place + steps.get(what, 0))
        self.selected = self.rows[min(max(0, place), last)].id

    def _command(self, what: str) -> Command | None:
        if not self.rows:
            return None
        row = self.rows[self._place]
        if row.ended and what != "destroy":
            self.message = f"{row.name} is {row.state}"
            return None
        command = Command(what, row)
        if what == "attach":
            return command
        self._asked = command
        return None

    # --- drawing ---

    def lines(self, *, coloured: bool = True) -> list[str]:
        """Return a line for each row of the terminal."""
        columns, height = self.size
        place = self._place
        self._offset = min(self._offset, place, max(0, len(self.rows) - self._page))
        self._offset = max(self._offset, place - self._page + 1)
        shown = self.rows[self._offset : self._offset + self._page]
        lines = [
            fitted(self._title(), columns),
            *table.draw(shown, self.selected, columns, empty=_EMPTY, coloured=coloured),
        ]
        lines += [""] * (height - 1 - len(lines))
        return [*lines[: height - 1], fitted(self._bottom(), columns)][-height:]

    def _title(self) -> str:
        waiting = sum(bool(row.waits_for) for row in self.rows)
        count = len(self.rows)
        wait = f", {waiting} wait{'s' if waiting == 1 else ''} for you" if waiting else ""
        return f"moat: {count} run{'' if count == 1 else 's'}{wait}"

    def _bottom(self) -> str:
        if self._asked is not None and self._asked.run is not None:
            return f"{_QUESTIONS[self._asked.what].format(self._asked.run.name)} [y/N]"
        return table.printable(self.message) or HELP
