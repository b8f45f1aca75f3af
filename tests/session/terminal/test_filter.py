"""The filter: what passes, what is dropped, and that cutting and nesting make no difference."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from moat.session.terminal.filter import MAX_CONTROL, MAX_STRING, OutputFilter, OutputPolicy, rings
from moat.session.terminal.screen import Screen
from moat.spec import TerminalSize


def filtered(*chunks: bytes, policy: OutputPolicy | None = None) -> bytes:
    output = OutputFilter(policy)
    return b"".join(output.feed(chunk) for chunk in chunks)


PASSES = [
    b"text\r\n\ttabs \x07\x08\x0b\x0c\x0e\x0f",
    "é你好👍".encode(),
    b"\x1b[1;31m\x1b[38;2;1;2;3m\x1b[4:3m\x1b[m",
    b"\x1b[H\x1b[2J\x1b[K\x1b[10;20H\x1b[3A\x1b[5X\x1b[2P\x1b[3@\x1b[L\x1b[M\x1b[S\x1b[T\x1b[3b",
    b"\x1b[?25l\x1b[?25h\x1b[?1049h\x1b[?1;7;2004h\x1b[4h\x1b[4l\x1b[?2026h",
    b"\x1b[2;20r\x1b[?69h\x1b[2;5s\x1b[s\x1b[u",
    b"\x1b7\x1b8\x1bM\x1bD\x1bE\x1bH\x1b=\x1b>\x1b(0\x1b)B\x1b#8\x1b\\",
    b'\x1b[2 q\x1b[!p\x1b[?5W\x1b[1"q\x1b[?2J',
    b"\x1b[>1u\x1b[<u\x1b[=5;1u\x1b[>4;2m\x1b[22;0t\x1b[23;0t",
    b"\x1b]0;title\x07\x1b]2;title\x1b\\",
    b"\x1b]8;id=1;https://example.com/?q=1\x1b\\link\x1b]8;;\x1b\\",
    b"\x1b]4;1;rgb:ff/00/00\x07\x1b]11;#000000\x07\x1b]104\x07\x1b]112\x07",
    b"\x1b]9;done\x07\x1b]9;4;1;50\x07\x1b]777;notify;title;body\x07\x1b]133;A\x07",
    b"\x1bP0;1;0q#0;2;0;0;0~~-\x1b\\",
    b"\x1b_Gf=24,s=1,v=1,q=2;AAAA\x1b\\",
]


@pytest.mark.parametrize("output", PASSES)
def test_what_is_shown_passes_unchanged(output: bytes) -> None:
    """Ordinary output and the harmless extras pass unchanged."""
    assert filtered(output) == output


DROPPED = {
    "a report of the status": b"\x1b]7501;state=idle\x1b\\",
    "a question about reports": b"\x1b]7501;?\x07",
    "DA1": b"\x1b[c",
    "DA1 with a parameter": b"\x1b[0c",
    "DA2": b"\x1b[>c",
    "DA3": b"\x1b[=c",
    "DECID": b"\x1bZ",
    "DSR": b"\x1b[5n",
    "CPR": b"\x1b[6n",
    "DECXCPR": b"\x1b[?6n",
    "colour scheme": b"\x1b[?996n",
    "DECRQM": b"\x1b[?2026$p",
    "DECRQM, ANSI": b"\x1b[4$p",
    "DECRQSS": b"\x1bP$qm\x1b\\",
    "XTGETTCAP": b"\x1bP+q544e\x1b\\",
    "XTVERSION": b"\x1b[>q",
    "XTVERSION with a parameter": b"\x1b[>0q",
    "kitty's keyboard flags": b"\x1b[?u",
    "modifyOtherKeys": b"\x1b[?4m",
    "palette": b"\x1b]4;1;?\x07",
    "palette, after a colour that is set": b"\x1b]4;1;#fff;2;?\x07",
    "text colour": b"\x1b]10;?\x07",
    "background": b"\x1b]11;?\x1b\\",
    "kitty's colours": b"\x1b]21;foreground=?\x1b\\",
    "pointer shape": b"\x1b]22;?__current__\x1b\\",
    "clipboard, read": b"\x1b]52;c;?\x07",
    "clipboard, write": b"\x1b]52;c;aGk=\x07",
    "clipboard of kitty": b"\x1b]5522;type=read;Lg==\x1b\\",
    "font": b"\x1b]50;?\x07",
    "unknown command": b"\x1b]60\x07",
    "working directory": b"\x1b]7;file://host/tmp\x07",
    "process, in ConEmu": b"\x1b]9;7;calc.exe\x07",
    "macro, in ConEmu": b"\x1b]9;6;x\x07",
    "files of iTerm2": b"\x1b]1337;File=inline=0:AAAA\x07",
    "files of kitty": b"\x1b]5113;ac=send\x1b\\",
    "notification that answers": b"\x1b]99;i=1:p=?;\x1b\\",
    "size in pixels": b"\x1b[14t",
    "cell size": b"\x1b[16t",
    "size in cells": b"\x1b[18t",
    "title, reported": b"\x1b[21t",
    "icon title, reported": b"\x1b[20t",
    "iconify": b"\x1b[2t",
    "move": b"\x1b[3;0;0t",
    "resize": b"\x1b[8;24;80t",
    "resize in pixels": b"\x1b[4;600;800t",
    "title modes": b"\x1b[>2;3t",
    "DECREQTPARM": b"\x1b[x",
    "DECRQCRA": b"\x1b[1;1;1;1;10;10*y",
    "DECRQPSR": b"\x1b[2$w",
    "printer": b"\x1b[5i",
    "DECUDK": b"\x1bP0;1|17/41\x1b\\",
    "tmux passthrough": b"\x1bPtmux;hello\x1b\\",
    "image, query": b"\x1b_Gi=1,a=q;AAAA\x1b\\",
    "image from a file": b"\x1b_Gt=f;L2V0Yy9wYXNzd2Q=\x1b\\",
    "image from a temporary file": b"\x1b_Gt=t;L3RtcA==\x1b\\",
    "image from shared memory": b"\x1b_Gt=s;eA==\x1b\\",
    "application's own": b"\x1b_anything\x1b\\",
    "privacy message": b"\x1b^anything\x1b\\",
    "start of string": b"\x1bXanything\x1b\\",
    "ENQ": b"\x05",
    "8-bit controls": b"\x1b G",
    "conformance level": b'\x1b[61"p',
    "out of UTF-8": b"\x1b%@",
    "VT52 mode": b"\x1b[?2l",
    "132 columns": b"\x1b[?3h",
    "Tektronix mode": b"\x1b[?38h",
    "in-band size reports": b"\x1b[?2048h",
    "keyboard locked": b"\x1b[2h",
    "the user's scrollback": b"\x1b[3J",
    "C1 CSI": "\x9b".encode(),
    "C1 OSC, ST": "\x9d\x9c".encode(),
}


@pytest.mark.parametrize("output", DROPPED.values(), ids=DROPPED.keys())
def test_what_terminals_act_on_or_answer_is_left_out(output: bytes) -> None:
    """Whatever terminals act on or answer is dropped, and nothing of the text around it."""
    assert filtered(b"before" + output + b"after") == b"beforeafter"


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        # Modes of a list one by one.
        (b"\x1b[?2048;25h", b"\x1b[?25h"),
        (b"\x1b[?3;1;38h", b"\x1b[?1h"),
        (b"\x1b[?0025h", b"\x1b[?25h"),
        # A title is one line.
        (b"\x1b]2;a\nb\x01c\x07", b"\x1b]2;abc\x07"),
        ("\x1b]2;a\x9b6nb\x07".encode(), b"\x1b]2;a6nb\x07"),
        # Images without answers.
        (b"\x1b_Gi=1,q=0,a=T;AAAA\x1b\\", b"\x1b_Gi=1,q=2,a=T;AAAA\x1b\\"),
        (b"\x1b_Gm=0;\x1b\\", b"\x1b_Gm=0,q=2;\x1b\\"),
        # Control characters act before the sequence that they are in.
        (b"\x1b[3\n1m", b"\n\x1b[31m"),
        (b"\x1b[\x07c", b"\x07"),
        (b"\x1b\r[31m", b"\r\x1b[31m"),
        (b"\x1b\n[c", b"\n"),
        (b"\x1b[\x7f\xc3\xa91m", b"\x1b[1m"),
        # Sequences that another one cuts short, or CAN and SUB.
        (b"\x1b\x1b[31m", b"\x1b[31m"),
        (b"\x1b[\x1b[31m", b"\x1b[31m"),
        (b"\x1b[3\x18c", b"c"),
        (b"\x1b]2;a\x1b[31m", b"\x1b[31m"),
        (b"\x1b]2;a\x1b]52;c;?\x07b", b"b"),
        (b"\x1b]2;a\x1ab", b"b"),
        (b"\x1bPq~\x1b[cx", b"x"),
        # BEL ends an OSC only.
        (b"\x1bP+q\x07\x1b[c\x1b\\", b"\x1b\\"),
        # Not UTF-8.
        (b"a\x9bcb\xff\xe4\xbdz", "a\ufffdcb\ufffd\ufffdz".encode()),
        # What is left out in between joins nothing to a sequence.
        (b"\x1b\x05[c", b""),
        (b"\x1b\xc2\x9b[c", b""),
        (b"\x1b[\x1bZ6n", b"6n"),
    ],
)
def test_what_passes_is_well_formed(output: bytes, expected: bytes) -> None:
    """Malformed sequences, on which terminals disagree, are repaired or dropped."""
    assert filtered(output) == expected


def test_a_reset_keeps_the_scrollback() -> None:
    """ESC c becomes a reset that leaves the user's scrollback alone."""
    screen = Screen(TerminalSize(20, 6), 50)
    screen.feed(b"shell\r\n" * 10)
    screen.feed(filtered(b"\x1b[?1049h\x1b[2;3r\x1b[31m\x1b[?2004h\x1b[>1u\x1b(0\x1bcnew"))
    assert screen.text().startswith("new\n")
    assert "shell" in screen.contents()
    fresh = Screen(TerminalSize(20, 6), 50)
    fresh.feed(b"new")
    assert screen.modes == fresh.modes


def test_settings() -> None:
    """Each setting of the policy has its effect, and reading the clipboard is never allowed."""
    write, read = b"\x1b]52;c;aGk=\x07", b"\x1b]52;c;?\x07"
    assert filtered(write + read) == b""
    title, link = b"\x1b]0;x\x07", b"\x1b]8;;http://x\x07"
    assert filtered(title + link, policy=OutputPolicy(title=False)) == link
    assert filtered(title + link, policy=OutputPolicy(hyperlinks=False)) == title


def test_notifications_pass_by_setting() -> None:
    """Every spelling of a notification passes or not, and what isn't one has other rules."""
    shown = b"\x1b]9;built\x07\x1b]777;notify;moat;built\x1b\\"
    shown += b"\x1b]99;i=1:d=0;built\x1b\\\x1b]99;i=1:p=body;moat\x07"
    progress, commands = b"\x1b]9;4;1;50\x07", b"\x1b]9;7;calc\x07"
    every = shown + progress + commands
    assert filtered(every) == shown + progress
    assert filtered(every, policy=OutputPolicy(notifications=False)) == progress


@pytest.mark.parametrize(
    ("written", "passed"),
    [
        (b"i=1:a=report:c=1:u=2;x", b"i=1:u=2;x"),  # reports of a click and of the end are input
        (b"a=focus,report:p=title;x", b"p=title;x"),
        (b"i=1:p=?;", None),
        (b"i=1:p=alive;", None),
        (b"i=1:p=buttons;yes", None),
        (b"i=1:p=icon:g=x;AAAA", b"i=1:p=icon:g=x;AAAA"),
    ],
)
def test_a_notification_makes_the_terminal_say_nothing(
    written: bytes, passed: bytes | None
) -> None:
    """What would be typed to the program, or tell it about the user, is left out of kitty's."""
    expected = b"" if passed is None else b"\x1b]99;" + passed + b"\x1b\\"
    assert filtered(b"\x1b]99;" + written + b"\x1b\\") == expected


PICTURES = (
    b"\x1bPq#0;2;0;0;0~~\x1b\\"
    b"\x1b_Gf=100,q=2;AAAA\x1b\\"
    b"\x1b]1337;File=name=eA==;inline=1;width=auto:AAAA\x07"
)


def test_pictures_pass_by_setting() -> None:
    """All three kinds of them; a file that is not shown would be saved in the user's folder."""
    saved = b"\x1b]1337;File=name=eA==:AAAA\x07\x1b]1337;File=inline=0;name=inline=1:AAAA\x07"
    assert filtered(PICTURES + saved) == PICTURES
    assert filtered(PICTURES, policy=OutputPolicy(pictures=False)) == b""


def test_a_write_to_the_clipboard_is_taken_out_of_the_output() -> None:
    """It is for one terminal: the newest is kept, once, however it is cut into pieces."""
    output_filter = OutputFilter()
    written = b"a\x1b]52;c;b25l\x07b\x1b]52;p;dHdv\x1b\\c\x1b]52;c;?\x07"
    assert b"".join(output_filter.feed(bytes([byte])) for byte in written) == b"abc"
    assert output_filter.take_clipboard() == b"\x1b]52;p;dHdv\x1b\\"
    assert output_filter.take_clipboard() == b""


# --- chunks ---

fragments = st.lists(
    st.one_of(
        st.sampled_from([*PASSES, *DROPPED.values()]),
        st.sampled_from(
            [b"\x1b", b"[", b"]", b"P", b"_", b"\\", b"\x07", b"\x18", b"\xc2", b"\x9b"]
        ),
        st.sampled_from([b"52;c;?", b"6n", b"?", b";", b"1", b"q", b"m", b"\n", b"(", b" "]),
        st.text(max_size=5).map(str.encode),
        st.binary(max_size=4),
    ),
    max_size=20,
).map(b"".join)


# The emulator takes single bytes of characters that stand inside a sequence for C1 controls.
well_formed = st.lists(
    st.one_of(
        st.sampled_from([*PASSES, *DROPPED.values()]),
        st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=5).map(str.encode),
    ),
    max_size=20,
).map(b"".join)


@st.composite
def cut(draw: st.DrawFn, outputs: st.SearchStrategy[bytes]) -> list[bytes]:
    output = draw(outputs)
    places = sorted(draw(st.lists(st.integers(0, len(output)), max_size=12)))
    return [output[a:b] for a, b in zip([0, *places], [*places, len(output)], strict=True)]


@settings(max_examples=300, deadline=None)
@given(cut(fragments))
@example([b"\x1b", b"]2;a", b"\x1b", b"\\"])
@example([b"\x1b]2;a\x1b", b"[c"])
@example([b"\xc2", b"\x9b6n"])
@example([b"\x1b", b"\xc2\x9b", b"[c"])
def test_chunks_make_no_difference(chunks: list[bytes]) -> None:
    """Output that is cut anywhere gives the same bytes; an incomplete rest is held back."""
    whole = b"".join(chunks)
    one, other, single = OutputFilter(), OutputFilter(), OutputFilter()
    expected = one.feed(whole)
    assert b"".join(other.feed(chunk) for chunk in chunks) == expected
    assert b"".join(single.feed(whole[n : n + 1]) for n in range(len(whole))) == expected
    assert one.pending == other.pending == single.pending


@settings(max_examples=300, deadline=None)
@given(fragments)
def test_what_has_passed_passes_again_unchanged(output: bytes) -> None:
    """Dropping something never makes a sequence of what stood on both sides of it."""
    passed = filtered(output)
    again = OutputFilter()
    assert again.feed(passed) == passed
    assert again.pending == 0


@settings(max_examples=300, deadline=None)
@given(fragments)
def test_nothing_that_has_passed_is_answered(output: bytes) -> None:
    """The emulator, as a viewer's terminal, has no reply, and finds each sequence complete."""
    screen = Screen(TerminalSize(20, 6), 10)
    screen.feed(filtered(output))
    assert screen.take_replies() == b""
    assert not re.search(rb"[\x05\x80-\xff]", filtered(output).decode().encode("ascii", "ignore"))
    screen.close()


@settings(max_examples=300, deadline=None)
@given(st.one_of(fragments.filter(bytes.isascii), well_formed))
def test_the_display_is_the_same_with_and_without_the_filter(output: bytes) -> None:
    """Nothing that would be seen is dropped."""
    assume(b"\x1bc" not in output)
    screens = [Screen(TerminalSize(20, 6), 10) for _ in range(2)]
    for screen, bytes_of in zip(screens, (output, filtered(output + b"\x18")), strict=True):
        screen.feed(bytes_of)
    one, other = screens
    assert other.rows_vt(0, 20, 6) == one.rows_vt(0, 20, 6)
    assert other.cursor == one.cursor
    for screen in screens:
        screen.close()


def test_plain_output_is_not_copied() -> None:
    """Output without anything to drop comes out as the same object, ASCII or not."""
    for data in (
        b"hello\r\n" * 1000,
        "héllo 你\r\n".encode() * 1000,
        b"\x1b[31mhello\x1b[m" * 1000,
    ):
        assert OutputFilter().feed(data) is data


# --- bounds ---


@pytest.mark.parametrize(
    ("beginning", "end"),
    [
        (b"\x1b]2;", b"\x07"),
        (b"\x1b]2;", b"\x1b\\"),
        (b"\x1bPq", b"\x1b\\"),
        (b"\x1b_Gf=24;", b"\x1b\\"),
        (b"\x1b[", b"m"),
        (b"\x1b(", b"B"),
    ],
)
@pytest.mark.parametrize("size", [1, 4096, 65536, 3 * MAX_STRING])
def test_a_sequence_without_end_is_bounded(beginning: bytes, end: bytes, size: int) -> None:
    """Little is held back of an endless sequence; output goes on behind its end."""
    filler = b"1" if beginning == b"\x1b[" else b" " if beginning == b"\x1b(" else b"A"
    total = 3 * MAX_STRING if size > 1 else 3 * MAX_CONTROL
    output = OutputFilter()
    assert output.feed(beginning) == b""
    for _ in range(total // size):
        assert output.feed(filler * size) == b""
        assert output.pending <= MAX_STRING
    after = output.feed(end + b"after")
    assert after.endswith(b"after")
    if size > 1:
        assert after in {b"after", b"\x1b\\after"}
    assert output.pending == 0


def test_a_new_sequence_ends_an_overlong_one() -> None:
    """ESC cuts an overlong sequence short just as it does a short one, wherever chunks end."""
    for rest in ([b"\x1b[31mred"], [b"\x1b", b"[31mred"], [b"\x1b[", b"31mred"]):
        output = OutputFilter()
        output.feed(b"\x1b]2;" + b"x" * (MAX_STRING + 1))
        assert b"".join(output.feed(chunk) for chunk in rest) == b"\x1b[31mred"
    output = OutputFilter()
    output.feed(b"\x1b]2;" + b"x" * MAX_STRING + b"\x1b")
    assert output.feed(b"[31mred") == b"\x1b[31mred"


SIGNS = [
    (b"\x1b]9;done\x07", "9;done", None),
    (b"\x1b]777;notify;title;b\x1b[31mody\x1b\\", None, None),
    (b"\x1b]777;notify;title;bo\x01dy\x1b\\", "777;notify;title;body", None),
    (b"\x1b]99;i=1:p=body;text\x1b\\", "99;i=1:p=body;text", None),
    (b"\x1b]9;4;1;50\x07\x1b]0;title\x07\x1b]7;file:///\x07", None, None),
    (b"\x1b]9;first\x07\x1b]9;" + b"x" * 1000 + b"\x07", "9;" + "x" * 398, None),
    (b"\x1b]7501;state=idle:app=x\x1b\\", None, "state=idle:app=x"),
    (b"\x1b]7501;state=idle\x07\x1b]7501;state=done\x07", None, "state=done"),
    (b"\x1b]7501;state=\x01idle\x07\x1b]7501;\x07\x1b]7501;" + b"x" * 5000 + b"\x07", None, None),
]


@pytest.mark.parametrize(("output", "notification", "status"), SIGNS)
def test_what_a_program_says_about_itself_is_told_once(
    output: bytes, notification: str | None, status: str | None
) -> None:
    """The newest notification and report, cut to a length and without control characters."""
    output_filter = OutputFilter(OutputPolicy(notifications=False))
    for at in range(len(output)):
        output_filter.feed(output[at : at + 1])
    assert output_filter.take_notification() == notification
    assert output_filter.take_status() == status
    assert output_filter.take_notification() is output_filter.take_status() is None


def test_a_program_is_told_that_its_reports_are_heard() -> None:
    """Once for each piece of output, however often it asks."""
    output_filter = OutputFilter()
    output_filter.feed(b"\x1b]7501;?\x07\x1b]7501;?\x07")
    assert output_filter.take_answer() == b"\x1b]7501;?\x1b\\"
    assert output_filter.take_answer() == b""


@pytest.mark.parametrize(
    ("output", "rung"),
    [
        (b"\x07", True),
        (b"\x1b]0;title\x07", False),
        (b"\x1b]0;title\x07\x07", True),
        (b"\x1b]0;title\x1b\\\x07", True),
        (b"text", False),
    ],
)
def test_a_bell_is_told_from_the_end_of_a_sequence(output: bytes, *, rung: bool) -> None:
    """Both are the same character."""
    assert rings(OutputFilter().feed(output)) is rung
