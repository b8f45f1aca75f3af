"""Lines of Moat's own over the program's screen, which go without a trace, and their keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Moat

P = b"\x1f"
SHOWING = (
    "import sys, time; sys.stdout.write('\\n'.join(f'\\033[3{n % 8}mrow {n}' for n in range(ROWS))"
    " + '\\033[3;7H\\033[?2004h'); sys.stdout.flush(); sys.stdin.read()"
)


def look(window: Any) -> dict[str, Any]:
    size = window.screen.size
    rows = window.screen.rows_vt(0, size.columns, size.rows)
    return {"rows": rows, "above": window.screen.contents(), **window.screen.as_json()}


@pytest.mark.parametrize("rows", [3, 20, 90], ids=["short", "nearly full", "scrolled"])
@pytest.mark.parametrize("size", [(80, 24), (60, 12)], ids=["its size", "smaller"])
def test_help_is_gone_without_a_trace(
    moat: Moat, terminal: Any, rows: int, size: tuple[int, int]
) -> None:
    """Every cell, the scrollback, the cursor and the modes are as before, whatever it lay over."""
    stayed = terminal(
        "run", "-i", "-n", "x", "--", "python3", "-c", SHOWING.replace("ROWS", str(rows))
    )
    stayed.shows(f"row {rows - 1}")
    options = () if size == (80, 24) else ("--read-only",)
    window = terminal("attach", *options, "x", size=size)
    window.shows("row 0" if rows < 20 else "row 6")
    moat.ok("wait", "--idle", "0.3", "x")
    window.linger(0.2)
    before = look(window)
    window.send(P + b"?")
    window.shows("detach: the run goes on")
    assert "Any key goes back" in window.screen.text()
    window.send(b"d")
    window.until(lambda: "detach" not in window.screen.text())
    window.until(lambda: look(window) == before, "the same as before")
    assert moat.inspect("x")["viewers"] == 2


def test_what_waits_is_answered_by_keys(moat: Moat, terminal: Any) -> None:
    """A request that the policy asks about is allowed with y, and the next one denied with n."""
    (moat.workspace / "agent.yaml").write_text("network: {policy: ask}\n")
    moat.trust_projects()
    fetch = "curl -sS -m 300 http://host$n.test/ -o /dev/null -w '%{http_code} '"
    command = f"for n in 1 2; do {fetch}; done; cat"
    window = terminal("run", "-i", "-n", "x", "--", "sh", "-c", command)
    window.shows("host1.test waits for an answer")
    window.send(P + b"a")
    window.shows("host1.test:80 waits: may it be reached?")
    window.send(b"y")
    window.shows("host2.test waits for an answer")
    window.send(P + b"a")
    window.shows("host2.test:80 waits: may it be reached?")
    window.send(b"n")
    window.shows("403")
    rules = moat.ok("policy", "show", "x")
    assert "allow host1.test:80" in rules
    assert "deny host2.test:80" in rules
    window.send(P + b"a")
    window.shows("nothing waits for an answer")


def test_the_clipboard_is_asked_about_once(moat: Moat, terminal: Any) -> None:
    """The terminal that leads gets what was copied, once that is allowed, and later writes at once."""
    command = "printf '\\033]52;c;b25l\\007'; read x; printf '\\033]52;c;dHdv\\007shown'; cat"
    window = terminal("run", "-i", "-n", "x", "--", "sh", "-c", command)
    window.shows("the program wants to write to your clipboard")
    guest = terminal("attach", "--read-only", "x")
    guest.shows("the program wants")
    assert b"]52" not in window.output
    window.send(P + b"a")
    window.shows("May the program write to your clipboard")
    window.send(b"y")
    window.expect(rb"\x1b\]52;c;b25l\x07")
    window.send(b"\r")
    window.expect(rb"\x1b\]52;c;dHdv\x07")
    guest.shows("shown")
    assert b"]52" not in guest.output


@pytest.mark.parametrize("setting", ["pass", "drop"])
def test_the_clipboard_by_setting(moat: Moat, terminal: Any, setting: str) -> None:
    """Nobody is asked; reading is never possible."""
    moat.write_settings(f"terminal: {{clipboard: {setting}}}\n")
    command = "printf '\\033]52;c;b25l\\007\\033]52;c;?\\007shown'; cat"
    window = terminal("run", "-i", "-n", "x", "--", "sh", "-c", command)
    if setting == "pass":
        window.expect(rb"\x1b\]52;c;b25l\x07")
    window.shows("shown")
    window.linger(0.2)
    assert (b"\x1b]52;c;b25l\x07" in window.output) is (setting == "pass")
    assert b"]52;c;?" not in window.output
    assert "clipboard" not in window.screen.text()


def test_which_terminal_a_program_is_told_it_has(moat: Moat, terminal: Any) -> None:
    """TERM_PROGRAM and XTVERSION agree: the emulator's own kin, or what the user has set."""
    asking = (
        "import os, sys, tty; tty.setraw(0); print('\\033[>q', end='', flush=True);"
        "print('is', os.environ.get('TERM_PROGRAM'), os.read(0, 99), flush=True); os.read(0, 1)"
    )
    window = terminal("run", "-i", "-n", "x", "--", "python3", "-c", asking)
    window.shows("is ghostty b'\\x1bP>|ghostty (moat ")
    moat.write_settings("terminal: {program: moat}\n")
    window = terminal("run", "-i", "-n", "y", "--", "python3", "-c", asking)
    window.shows("is moat b'\\x1bP>|moat ")
