"""The question whether a project's file may open what it opens, on the terminal."""

from __future__ import annotations

import difflib
import os
import select
import signal
import sys
import termios
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from moat.config.consent import Answer, counted
from moat.config.openings import shown
from moat.printable import without_controls

if TYPE_CHECKING:
    from collections.abc import Generator

    from moat.config.consent import Question

_LISTED: Final = 20
"""Things that the question names; a hostile file has ten thousand, and of those a few are named."""
_COMPARED: Final = 200
"""Lines of a list that is compared."""
_WIDTH: Final = 400
"""Characters of a line in a difference."""
_MAX_ANSWER: Final = 1024
_ANSWERS: Final = {
    "y": Answer.ONCE,
    "yes": Answer.ONCE,
    "a": Answer.ALWAYS,
    "always": Answer.ALWAYS,
    "n": Answer.NO,
    "no": Answer.NO,
}


def ask(question: Question) -> Answer:
    """Ask the user until there is an answer; the end of the input is a no.

    The question goes to stderr and the answer comes from stdin, both of which are terminals.
    """
    _write(_heading(question), *(f"  {each}" for each in _listed(question)))
    while True:
        word = typed_after("Agree to it? [y]es once, [a]lways, [n]o, [d]iff: ")
        if word is None:
            _write("")
            return Answer.NO
        if word in {"d", "diff"}:
            _write(*difference(question))
        elif word in _ANSWERS:
            return _ANSWERS[word]


def difference(question: Question) -> list[str]:
    """Return the agreed list and the current one as a unified diff, with the restrictions in them."""
    before, now = (
        [shown(line, _WIDTH) for line in lines] for lines in (question.agreed, question.current)
    )
    if max(len(before), len(now)) > _COMPARED:
        # A hostile file would keep the comparison busy for an hour.
        return [f"more than {_COMPARED} lines: see {_how_to_look(question)}"]
    return [*difflib.unified_diff(before, now, "agreed", "now", n=2, lineterm="")]


def _heading(question: Question) -> str:
    file, count = without_controls(str(question.file)), counted(question.change)
    if question.agreed:
        return f"moat: {file} opens {count} beyond what you have agreed to:"
    return f"moat: {file} opens {count} that you have not agreed to:"


def _listed(question: Question) -> list[str]:
    texts = question.change.texts(_LISTED)
    return (
        texts
        if len(question.change) <= _LISTED
        else [*texts, f"All of it: {_how_to_look(question)}"]
    )


def _how_to_look(question: Question) -> str:
    return without_controls(question.how_to_look)


def typed_after(prompt: str) -> str | None:
    """Return the word that the user types up to Enter; `None` at the end of the input."""
    try:
        # What was typed before the question is no answer to it.
        termios.tcflush(0, termios.TCIFLUSH)
        with _signals() as signals:
            sys.stderr.write(prompt)
            sys.stderr.flush()
            while 0 not in select.select([0, signals], [], [])[0]:
                os.read(signals, 64)
        # Read directly: a buffer of Python's would keep what is typed next from the run.
        data = os.read(0, _MAX_ANSWER)
    except (OSError, termios.error):  # the terminal is gone
        return None
    return data.decode(errors="replace").strip().lower() if data.endswith(b"\n") else None


@contextmanager
def _signals() -> Generator[int]:
    """Yield a descriptor that a signal makes readable.

    A signal that comes just before a system call doesn't interrupt it, and Ctrl-C would be lost.
    """
    fd, write = os.pipe()
    os.set_blocking(write, False)
    before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    try:
        yield fd
    finally:
        signal.set_wakeup_fd(before)
        os.close(fd)
        os.close(write)


def _write(*lines: str) -> None:
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    sys.stderr.flush()
