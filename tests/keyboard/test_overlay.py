"""Lines over the screen, and whose the keys are meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from moat.keyboard.overlay import Overlay, Question

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Waiting:
    """Questions in a row, and how each was answered."""

    questions: list[Question] = field(default_factory=list[Question])
    given: list[tuple[str, bool]] = field(default_factory=list[tuple[str, bool]])

    def question(self) -> Question | None:
        return self.questions[0] if self.questions else None

    def answer(self, question: Question, *, allow: bool, then: Callable[[], None]) -> None:
        self.questions.remove(question)
        self.given.append((question.name, allow))
        then()


def overlay(*names: str) -> tuple[Overlay, Waiting, list[str]]:
    waiting, shown = Waiting([Question(name, f"May {name}?") for name in names]), list[str]()
    return Overlay(waiting, shown.append), waiting, shown


def test_help_goes_with_any_key() -> None:
    """Nothing is answered by it, whatever waits."""
    over, waiting, shown = overlay("a")
    over.help()
    assert over.shown
    over.typed(b"y")
    assert (over.shown, shown[-1], waiting.given) == (False, "", [])


def test_one_question_follows_the_other() -> None:
    """Until none is left, or the user has other things to do."""
    over, waiting, shown = overlay("a", "b")
    assert over.ask()
    assert shown[-1].startswith("May a?\n")
    over.typed(b"y")
    assert shown[-1].startswith("May b?\n")
    over.typed(b"N")
    assert (over.shown, shown[-1]) == (False, "")
    assert waiting.given == [("a", True), ("b", False)]


def test_a_question_is_put_off_by_any_other_key() -> None:
    """It waits on, and is asked again when the user wants to."""
    over, waiting, _ = overlay("a")
    over.ask()
    over.typed(b"\x1b[A")
    assert (over.shown, waiting.given) == (False, [])
    assert over.ask()


def test_nothing_to_ask_shows_nothing() -> None:
    """The caller says that there is nothing."""
    over, _, shown = overlay()
    assert not over.ask()
    assert (over.shown, shown) == (False, [])
