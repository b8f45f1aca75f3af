"""Lines that lie over the program's screen because the user asked, and their keys. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

HELP: Final = """\
d  detach: the run goes on
k  stop the run
s  save the screen to a file
a  answer what waits for you
?  this help
The prefix twice sends it to the program.
Any key goes back."""


PREFIX_HINT: Final = (
    "d detach, k stop, s save the screen, a answer, ? help, the prefix again to send it"
)


def watching_hint(window: float) -> str:
    """Return what a first Ctrl-C means to a viewer without input. `window` is in seconds."""
    return f"press Ctrl-C again within {window:g} s to stop the run; otherwise it goes on by itself"


class Question(NamedTuple):
    """Something that waits for the user, and by which name the supervisor knows it."""

    name: str
    text: str

    @property
    def lines(self) -> str:
        return f"{self.text}\ny  allow    n  deny    any other key: later"


class Answers(Protocol):
    """The supervisor, as far as it has questions."""

    def question(self) -> Question | None:
        """Return the oldest of what waits for the user's answer."""
        ...

    def answer(self, question: Question, *, allow: bool, then: Callable[[], None]) -> None:
        """Answer it, now or soon, and call `then`."""
        ...


class Overlay:
    """Lines over the screen until a key is pressed, which is for them and not for the program."""

    def __init__(self, answers: Answers, show: Callable[[str], None]) -> None:
        """`show` is called with the lines that lie over the screen now; with none they go."""
        self._answers = answers
        self._show = show
        self._question: Question | None = None
        self.shown = False

    def help(self) -> None:
        self._put(HELP)

    def ask(self) -> bool:
        """Put the oldest question to the user; return `False` where nothing waits for an answer."""
        self._question = self._answers.question()
        if self._question is None:
            if self.shown:
                self._put("")
            return False
        self._put(self._question.lines)
        return True

    def typed(self, keys: bytes) -> None:
        """Take the keys that were typed: an answer, after which the next question comes, or an end."""
        question, self._question = self._question, None
        allow = _ANSWERS.get(keys[:1].lower())
        if question is None or allow is None:
            self._put("")
        else:
            self._answers.answer(question, allow=allow, then=self._ask_again)

    def _ask_again(self) -> None:
        if self.shown:
            self.ask()

    def _put(self, lines: str) -> None:
        self.shown = bool(lines)
        self._show(lines)


_ANSWERS: Final = {b"y": True, b"n": False}
