"""The table of terminal modes."""

from __future__ import annotations

from moat.session.terminal import ghostty, modes
from moat.session.terminal.ghostty_abi import GhosttyError
from moat.session.terminal.modes import Restoring


def knows(terminal: ghostty.Terminal, number: int, *, ansi: bool) -> bool:
    try:
        terminal.mode(number, ansi=ansi)
    except GhosttyError:
        return False
    return True


def test_the_table_is_what_the_emulator_knows() -> None:
    """A mode that a release of the emulator adds has to be added here, or viewers would lack it."""
    terminal = ghostty.start(20, 4)
    # 2033 is answered but means nothing that is documented.
    assert {n for n in range(1, 9999) if knows(terminal, n, ansi=False)} - {2033} == set(modes.DEC)
    assert {n for n in range(1, 999) if knows(terminal, n, ansi=True)} == set(modes.ANSI)


def test_defaults_are_the_emulators() -> None:
    """No mode of a fresh terminal counts as changed."""
    terminal = ghostty.start(20, 4)
    sequence = modes.restore_sequence(terminal)
    for number, (_, restoring) in modes.DEC.items():
        written = b"\x1b[?%d%b" % (number, b"h" if terminal.mode(number) else b"l") in sequence
        assert written is (restoring is Restoring.ALWAYS)


def test_names_are_unique() -> None:
    """Each mode has a name of its own, since names are keys of the screen's JSON."""
    names = [name for name, _ in (*modes.DEC.values(), *modes.ANSI.values())]
    assert len(names) == len(set(names))


def test_resets_come_before_sets() -> None:
    """Resets come first, since in most terminals resetting one mouse mode ends them all."""
    terminal = ghostty.start(20, 4)
    terminal.write(b"\x1b[?1000h\x1b[?4h\x1b[?1007l")
    sequence = modes.restore_sequence(terminal)
    assert sequence.index(b"\x1b[?1003l") < sequence.index(b"\x1b[?1000h")
    assert b"\x1b[?4h" in sequence
    assert b"\x1b[?1007l" in sequence


def test_changed_modes_are_undone() -> None:
    """Restoring and undoing leaves a terminal as it was; without changes there is nothing to undo."""
    terminal, viewers = ghostty.start(20, 4), ghostty.start(20, 4)
    assert modes.undo_sequence(terminal) == b""
    before = modes.states(viewers)
    changed = {n for n, (_, restoring) in modes.DEC.items() if restoring is Restoring.IF_CHANGED}
    for number in changed:
        terminal.write(b"\x1b[?%d%b" % (number, b"l" if terminal.mode(number) else b"h"))
    viewers.write(modes.restore_sequence(terminal))
    assert modes.states(viewers) != before
    viewers.write(modes.undo_sequence(terminal))
    assert modes.states(viewers) == before
