"""How keys are written, and what is none: both as decoded, and as the key machine takes them."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from moat.errors import UsageError
from moat.keyboard import key_forms, tokenizer
from moat.keyboard.key_forms import control, decode, is_sent_by_terminal, plain_key
from moat.keyboard.key_names import parse_escape_prefix
from moat.keyboard.keys import (
    ESCAPE_TIMEOUT_S,
    PREFIX_TIMEOUT_S,
    SEQUENCE_TIMEOUT_S,
    Action,
    Command,
    KeyMachine,
    Send,
)

P = b"\x1f"
KITTY_P = b"\x1b[47;5u"

# What a program can make a terminal send, between any two keys.
REPORTS = [
    b"\x1b[I",  # focus
    b"\x1b[O",
    b"\x1b[?997;1n",  # colour scheme
    b"\x1b[<35;100;107M",  # mouse: SGR
    b"\x1b[<0;100;107m",
    b"\x1b[32;100;107M",  # urxvt
    b"\x1b[M#dk",  # X10
    b"\x1b]5522;type=read:status=OK\x1b\\",  # a paste
    b"\x1b[57441;2u",  # a modifier goes down, and up
    b"\x1b[57441;1:3u",
    b"\x1b[1;1:3A",  # the release of an arrow
    b"\x1b[97;1:3u",  # and of a letter
]
# What it sends that was asked, and nobody asks it.
ANSWERS = [
    b"\x1b[?1;2c",  # device attributes
    b"\x1b[>41;354;0c",
    b"\x1b[0n",  # status
    b"\x1b[24;80R",  # cursor position
    b"\x1b[?24;80;1R",
    b"\x1b[?2026;2$y",  # a mode
    b"\x1b[?1u",  # kitty's keyboard flags
    b"\x1b[48;24;80;480;800t",  # size
    b"\x1b]11;rgb:1010/1010/1010\x1b\\",
    b"\x1b]11;rgb:1010/1010/1010\x07",
    b"\x1b]52;c;cm0gLXJmIH4K\x1b\\",
    b"\x1bP>|a terminal\x1b\\",
    b"\x1bP1+r544e=787465726d\x1b\\",
    b"\x1b_Gi=1;OK\x1b\\",
]
PIECES = st.one_of(
    st.sampled_from(
        [P, b"~", b"d", b"s", b"\x03", b"\x1b", b"\x1b]", b"\x1bP", b"\x1b[M", b"\x1b\\", b"\x07"]
    ),
    st.sampled_from(
        [KITTY_P, b"\x1b[47;5:2u", b"\x1b[47;1:3u", b"\x1b[115;1:2u", b"\x1b[115;1:3u", b"\x1b["]
    ),
    st.sampled_from(REPORTS),
    st.sampled_from(ANSWERS),
    st.binary(max_size=4),
)  # fmt: skip
PREFIXES = st.sampled_from([P, b"~", b"\x10\x11", b"[", b"\x03"])


def merged(actions: list[Action]) -> list[Action]:
    result: list[Action] = []
    for each in actions:
        if result and isinstance(each, Send) and isinstance(last := result[-1], Send):
            result[-1] = Send(last.data + each.data)
        else:
            result.append(each)
    return result


def typed(*reads: bytes | None, prefix: bytes = P, interrupts: bool = False) -> list[Action]:
    """All actions for these reads; `None` is a pause."""
    machine = KeyMachine(prefix, interrupts=interrupts)
    actions: list[Action] = []
    for read in reads:
        actions += machine.timeout() if read is None else machine.feed(read)
    return merged(actions + machine.timeout())


# --- bytes of old ---


@pytest.mark.parametrize(
    ("sequence", "byte"),
    [
        (b"\x1b[47;5u", 0x1F),
        (b"\x1b[55;5u", 0x1F),  # Ctrl-7 is the same byte without the protocol
        (b"\x1b[55;6u", 0x1F),  # where / is Shift-7
        (b"\x1b[55:47;6u", 0x1F),
        (b"\x1b[50;6u", 0x00),  # Ctrl-@
        (b"\x1b[54;6u", 0x1E),  # Ctrl-^
        (b"\x1b[32;5u", 0x00),
        (b"\x1b[112;5u", 0x10),
        (b"\x1b[112;6u", None),  # Ctrl-Shift-P
        (b"\x1b[80;5u", 0x10),  # with caps lock, in xterm
        (b"\x1b[112;69u", 0x10),  # with caps lock, in kitty
        (b"\x1b[1079::112;5u", 0x10),  # the Cyrillic key in p's place
        (b"\x1b[1074::100u", ord("d")),
        (b"\x1b[1074u", None),
        (b"\x1b[91:47:47;5u", 0x1B),  # ASCII keys are what they say, wherever they are
        (b"\x1b[47;2u", ord("?")),
        (b"\x1b[47:63;2u", ord("?")),
        (b"\x1b[223:63;2u", None),  # beyond ASCII and without its place
        (b"\x1b[43;2;63u", ord("?")),  # by its text
        (b"\x1b[39;1;64u", ord("@")),
        (b"\x1b[100;2u", ord("D")),
        (b"\x1b[100;3u", None),  # Alt
        (b"\x1b[100;9u", None),  # Super
        (b"\x1b[27;2;63~", ord("?")),
        (b"\x1b[27;6;95~", 0x1F),
        (b"\x1b[27u", 0x1B),
        (b"\x1b[127u", 0x7F),
        (b"\x1b[u", None),
        (b"\x1b[31u", None),  # no keyboard has it
        (b"\x1b[15~", None),
        (b"\x1b[A", None),
        (b"\x1b[1;5A", None),
    ],
)
def test_the_byte_of_a_key(sequence: bytes, byte: int | None) -> None:
    """A key in a sequence is the byte that it would be without the protocol, or none."""
    key = decode(sequence)
    assert key.byte == byte
    assert key.raw == sequence
    assert key.pressed


@pytest.mark.parametrize("number", [b"9" * 60, b"1114112", b"4294967296"])
def test_numbers_beyond_all_keys(number: bytes) -> None:
    """A terminal gone mad is no error of ours."""
    for form in (b"\x1b[%bu", b"\x1b[1;%bu", b"\x1b[1:%bu", b"\x1b[1;1:%bu", b"\x1b[27;%b;1~"):
        assert decode(form % number).raw == form % number


@given(st.binary(max_size=30))
def test_any_sequence_decodes(body: bytes) -> None:
    """Whatever is in a sequence, it is decoded without an error and unchanged."""
    assert decode(b"\x1b[" + body + b"u").raw == b"\x1b[" + body + b"u"


@pytest.mark.parametrize(
    "report", [each for each in REPORTS if each[:2] == b"\x1b[" and b"M#" not in each]
)
def test_reports_are_no_keys(report: bytes) -> None:
    """Nor are releases and modifiers by themselves."""
    assert not decode(report).pressed


def test_codes_tell_whose_a_release_is() -> None:
    """Ctrl may come up before the key does: the code is the same, the byte is not."""
    press, release = decode(b"\x1b[47;5u"), decode(b"\x1b[47;1:3u")
    assert press.code == release.code == plain_key(0x1F).code == ord("/")
    assert release.released
    assert press.byte != release.byte


def test_control_characters() -> None:
    """Only ASCII: letters that become ASCII in upper case are none."""
    assert [control(each) for each in "a/ @_"] == [1, 0x1F, 0, 0, 0x1F]
    assert [control(each) for each in ("\u017f", "\u0131", "1", "", "ab")] == [None] * 5


# --- the setting ---


@pytest.mark.parametrize("spec", ["d", "k", "s", "?", "d,ctrl-p"])
def test_a_prefix_that_is_an_action(spec: str) -> None:
    """`d d` would be d for the program and the way out at once."""
    with pytest.raises(UsageError) as caught:
        parse_escape_prefix(spec)
    assert "ctrl-/" in (caught.value.hint or "")


def test_an_action_may_come_later_in_a_prefix() -> None:
    """Only what follows a whole prefix is an action."""
    assert parse_escape_prefix("ctrl-a,d") == b"\x01d"
    assert typed(b"\x01dd", prefix=b"\x01d") == [Command.DETACH]


# --- what is no key ---


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize("prefix", [P, KITTY_P])
def test_a_report_between_prefix_and_key(prefix: bytes, report: bytes) -> None:
    """A mouse that moves, or a program that asks all the time, keeps nobody from detaching."""
    assert typed(prefix + report + b"d") == [Send(report), Command.DETACH]
    assert typed(prefix + report + b"s" + b"x") == [Send(report), Command.SAVE_SCREEN, Send(b"x")]
    assert typed(prefix + report + b"x") == [Send(prefix + report + b"x")]
    assert typed(prefix + report + prefix + b"x") == [Send(report + prefix + b"x")]


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("prefix", [P, KITTY_P])
def test_an_answer_is_for_nobody(prefix: bytes, answer: bytes) -> None:
    """It reaches no program, in any reads, and keeps nobody from detaching; pasted it is text."""
    for reads in ([answer], [answer[n : n + 1] for n in range(len(answer))]):
        assert typed(b"a", *reads, b"b") == [Send(b"ab")]
    assert typed(prefix + answer + b"d") == [Command.DETACH]
    assert typed(prefix + answer + b"x") == [Send(prefix + b"x")]
    pasted = b"\x1b[200~" + answer + b"\x1b[201~"
    assert typed(pasted) == [Send(pasted)]


@pytest.mark.parametrize(
    "key",
    [b"\x1b]1", b"\x1bP1", b"\x1b_G", b"\x1b[1;2R", b"\x1bOR", b"\x1b]11;" + b"x" * 2000 + b"\x07"],
)
def test_what_only_looks_like_an_answer_arrives(key: bytes) -> None:
    """Alt with a key and what is typed after it, F3, and what is far too long."""
    assert b"".join(each.data for each in typed(key) if isinstance(each, Send)) == key


@pytest.mark.parametrize(
    ("data", "by_itself"),
    [
        *(
            (report, True)
            for report in REPORTS
            if b"]" not in report and report not in (b"\x1b[57441;2u", b"\x1b[32;100;107M")
        ),
        (b"\x1b[I\x1b[<35;1;1M\x1b[<65;1;1M", True),  # motion and the wheel
        (b"\x1b[<0;3;4M", False),  # clicks
        (b"\x1b[34;3;4M", False),
        (b"\x1b[M !!", False),
        (b"\x1b[Ix", False),
        (b"\x1b[A", False),
        (b"\x1b[97u", False),
        (b"\x1b[200~\x1b[I", False),
        (b"x", False),
    ],
)
def test_what_a_terminal_sends_by_itself(data: bytes, by_itself: bool) -> None:
    """Everything else was done by the user, who leads with it."""
    assert is_sent_by_terminal(data) is by_itself


@pytest.mark.parametrize(
    "report",
    [
        b"\x1b]l~d\x1b\\",  # a title that the program chose
        b"\x1b]l~d\x07",
        b"\x1b]5522;~d\x1b\\",
        b"\x1bP~d\x1b\\",
        b"\x1b_~d\x1b\\",
        b"\x1b[M ~d",  # a click in column 94, row 68
        b"\x1b[M~~d",
    ],
)
def test_a_report_that_spells_the_keys(report: bytes) -> None:
    """What a program makes a terminal say is never a key, in any reads, with any prefix."""
    for prefix in (b"~", P):
        report = report.replace(b"~", prefix)
        for reads in ([report], [report[n : n + 1] for n in range(len(report))]):
            assert typed(*reads, prefix=prefix) == [Send(report)]
            assert typed(*reads, prefix, b"d", prefix=prefix) == [Send(report), Command.DETACH]


@pytest.mark.parametrize("end", [b"\x18", b"\x1a", b"\x1b[A", b"\x1bx"])
def test_a_string_that_is_cut_short(end: bytes) -> None:
    """CAN, SUB and any other sequence end a string; the keys work again behind it."""
    assert typed(b"\x1b]11;" + end + P + b"d") == [Send(b"\x1b]11;" + end), Command.DETACH]


@pytest.mark.parametrize("key", [b"\x1b]", b"\x1bP", b"\x1b_"])
def test_alt_keys_that_look_like_strings(key: bytes) -> None:
    """Alt-] is held no longer than Escape; then the prefix is one again."""
    machine = KeyMachine(P)
    assert machine.feed(key) == []
    assert machine.pending
    assert machine.patience == ESCAPE_TIMEOUT_S
    assert machine.timeout() == [Send(key)]
    assert not machine.pending
    assert machine.feed(P + b"d") == [Command.DETACH]


def test_a_program_that_reports_without_end() -> None:
    """The prefix is given up rather than held with ever more behind it."""
    report = b"\x1b[<35;1;1M"
    machine = KeyMachine(P)
    actions = machine.feed(P + report * 1000)
    assert merged(actions) == [Send(P + report * 1000)]
    assert not machine.pending


# --- repeats and releases ---


def test_a_prefix_that_is_held_down() -> None:
    """Its repeats are no second prefix; those of one that was sent go where it went."""
    repeat, release = b"\x1b[47;5:2u", b"\x1b[47;5:3u"
    assert typed(KITTY_P + repeat * 3 + release + b"d") == [Command.DETACH]
    assert typed(KITTY_P + repeat, None, repeat + release) == [
        Send(KITTY_P + repeat + repeat + release)
    ]
    assert typed(repeat + b"d") == [Send(repeat + b"d")]


def test_the_first_of_two_prefixes_leaves_nothing() -> None:
    """The program gets one press and one release: those of the second."""
    release = b"\x1b[47;5:3u"
    assert typed((KITTY_P + release) * 2 + b"d") == [Send(KITTY_P + release + b"d")]


@pytest.mark.parametrize("release", [b"\x1b[47;5:3u", b"\x1b[47;1:3u"])
def test_the_release_of_a_prefix_that_was_taken(release: bytes) -> None:
    """It is ours with or without Ctrl, before the action's key and after it; a later one is not."""
    press, up = b"\x1b[115u", b"\x1b[115;1:3u"
    assert typed(KITTY_P + release + press + up) == [Command.SAVE_SCREEN]
    assert typed(KITTY_P + press + b"\x1b[115;1:2u" + release + up) == [Command.SAVE_SCREEN]
    later = b"\x1b[115u" + up
    assert typed(KITTY_P + press + release + later) == [Command.SAVE_SCREEN, Send(later)]


@pytest.mark.parametrize(
    ("key", "action"),
    [(b"\x1b[107u", Command.STOP), (b"\x1b[47;2u", Command.HELP), (b"\x1b[63;1u", Command.HELP)],
)
def test_actions_in_sequences(key: bytes, action: Action) -> None:
    """With every form of the prefix."""
    for prefix in (P, KITTY_P, b"\x1b[27;5;47~"):
        assert typed(prefix + key) == [action]


# --- time ---


def test_how_long_is_waited_for_what() -> None:
    """Escape is quick, what has begun as a sequence may take longer, the user's finger longest."""
    machine = KeyMachine(P)
    assert machine.patience == PREFIX_TIMEOUT_S
    assert machine.feed(b"\x1b") == []
    assert machine.patience == ESCAPE_TIMEOUT_S
    assert machine.feed(b"[") == []
    assert machine.patience == SEQUENCE_TIMEOUT_S
    assert machine.feed(b"A") == [Send(b"\x1b[A")]
    assert not machine.pending


def test_nothing_is_waited_for_without_a_prefix() -> None:
    """Escape is not even held for a moment."""
    machine = KeyMachine(b"")
    assert machine.feed(b"\x1b") == [Send(b"\x1b")]
    assert not machine.pending


def test_a_prefix_whose_beginning_was_sent_is_sent_whole() -> None:
    """On a very slow line the program gets all of it, and no key is taken in half."""
    assert typed(b"\x1b", None, b"[47;5u", b"d") == [Send(KITTY_P + b"d")]


@pytest.mark.parametrize(
    "data",
    [b"x" * (1 << 20), b"\x1b[200~" + P * (1 << 20) + b"\x1b[201~", b"\x1b[31mx" * (1 << 17)],
)
def test_a_megabyte_in_one_read(data: bytes) -> None:
    """The work grows with its length: quadratic, the last of these took minutes."""
    machine = KeyMachine(P)
    assert machine.feed(data) == [Send(data)]


# --- a run without input ---


def test_ctrl_c_as_prefix_and_interrupt() -> None:
    """Where it is both, twice is one interrupt, and d after it detaches."""
    assert typed(b"\x03\x03", prefix=b"\x03", interrupts=True) == [Command.INTERRUPT]
    assert typed(b"\x03d", prefix=b"\x03", interrupts=True) == [Command.DETACH]
    assert typed(b"\x03", None, prefix=b"\x03", interrupts=True) == [Command.INTERRUPT]


def test_ctrl_c_behind_a_prefix() -> None:
    """It is an interrupt all the same; one held down is one, and a pasted one is none."""
    assert typed(P + b"\x03", interrupts=True) == [Command.INTERRUPT]
    assert typed(b"\x1b[99;5u\x1b[99;5:2u\x1b[99;5:3u", interrupts=True) == [Command.INTERRUPT]
    assert typed(b"\x1b[200~\x03\x1b[201~", interrupts=True) == []


# --- all together ---


@given(
    reads=st.lists(st.one_of(st.none(), st.lists(PIECES, max_size=8).map(b"".join)), max_size=6),
    prefix=PREFIXES,
    interrupts=st.booleans(),
)
def test_reads_do_not_matter(reads: list[bytes | None], prefix: bytes, interrupts: bool) -> None:
    """One byte at a time is the same, with pauses at the same places."""
    single = [
        piece
        for read in reads
        for piece in ([None] if read is None else [read[n : n + 1] for n in range(len(read))])
    ]
    assert typed(*reads, prefix=prefix, interrupts=interrupts) == typed(
        *single, prefix=prefix, interrupts=interrupts
    )


@given(
    data=st.lists(PIECES, max_size=12).map(lambda pieces: b"".join(pieces).replace(b"\x1e", b""))
)
def test_without_an_action_every_byte_arrives(data: bytes) -> None:
    """A prefix that is not in it changes nothing, whatever else is but answers."""
    assume(not tokenizer._ANSWER.search(data) and not key_forms._ANSWER.search(data))
    assert typed(data, prefix=b"\x1e") == ([Send(data)] if data else [])
