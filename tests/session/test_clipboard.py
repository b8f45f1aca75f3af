"""Whether programs may write to the user's clipboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.session.clipboard import Clipboard

if TYPE_CHECKING:
    from moat.session.clipboard import Setting


def clipboard(setting: Setting) -> tuple[Clipboard, list[bytes], list[bool]]:
    written, asked = list[bytes](), list[bool]()
    board = Clipboard(setting, lambda: asked.append(board.asks))
    return board, written, asked


def test_the_user_is_asked_once() -> None:
    """The newest write waits for the answer, which holds for all others of the run."""
    board, written, asked = clipboard("ask")
    board.write(b"one", written.append)
    board.write(b"two", written.append)
    assert (written, asked, board.asks) == ([], [True], True)
    board.answer(allow=True)
    board.write(b"three", written.append)
    assert (written, asked) == ([b"two", b"three"], [True, False])


def test_a_refusal_holds() -> None:
    """Nothing is written, and nobody is asked again."""
    board, written, asked = clipboard("ask")
    board.write(b"one", written.append)
    board.answer(allow=False)
    board.write(b"two", written.append)
    assert (written, asked, board.asks) == ([], [True, False], False)


def test_a_setting_answers_for_good() -> None:
    """`pass` and `drop` ask nobody."""
    for setting, expected in (("pass", [b"one"]), ("drop", [])):
        board, written, asked = clipboard(setting)
        board.write(b"one", written.append)
        assert (written, asked, board.asks) == (expected, [], False)
