"""Keys of an attached terminal: what the program gets, and what is done for the user.

The numbers are the cases of a terminal's user: a prefix in whatever encoding, split over whatever
reads, is a key; everything else is the program's, byte for byte.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.errors import UsageError
from moat.keyboard.key_names import parse_escape_prefix
from moat.keyboard.keys import (
    ESCAPE_TIMEOUT_S,
    PREFIX_TIMEOUT_S,
    Action,
    Command,
    KeyMachine,
    Send,
)

CTRL_SLASH = b"\x1f"
P = b"\x1f"
KITTY_P = b"\x1b[47;5u"
PASTE_BEGINS, PASTE_ENDS = b"\x1b[200~", b"\x1b[201~"

# What a user may type, and an adversary paste: the pieces that mean something, and any bytes.
PIECES = st.one_of(
    st.sampled_from(
        [
            P, b"d", b"s", b"k", b"?", b"\x10", b"\x11", b"\x1b", b"\x1b[", b"\x1b[4", b"\x1bO",
            KITTY_P, b"\x1b[47;5:1u", b"\x1b[47;5:2u", b"\x1b[47;5:3u", b"\x1b[57442;5u",
            b"\x1b[57442;1:3u", b"\x1b[100u", b"\x1b[100;1:3u", b"\x1b[27;5;47~", b"\x1b[A",
            b"\x1b[112;5u", b"\x1b[113;5u", PASTE_BEGINS, PASTE_ENDS, b"\x1b[20", b"\x03", "🙂".encode(),
        ]
    ),
    st.binary(max_size=6),
)  # fmt: skip
TYPED = st.lists(PIECES, max_size=20).map(b"".join)
PREFIXES = st.sampled_from([b"", b"\x1f", b"\x10\x11", b"\x10\x10", b"aab"])


def joined(actions: list[Action]) -> list[Action]:
    """Neighbouring `Send`s made one: how bytes are cut into them means nothing."""
    result: list[Action] = []
    for each in actions:
        last = result[-1] if result else None
        if isinstance(each, Send) and isinstance(last, Send):
            result[-1] = Send(last.data + each.data)
        else:
            result.append(each)
    return result


def typed(*reads: bytes, prefix: bytes = P, end: bool = True) -> list[Action]:
    """All actions of a machine that got these reads without a pause, and then the end of input."""
    machine = KeyMachine(prefix)
    actions = [action for read in reads for action in machine.feed(read)]
    return joined(actions + (machine.timeout() if end else []))


def sent(actions: list[Action]) -> bytes:
    return b"".join(each.data for each in actions if isinstance(each, Send))


# --- the prefix and what follows it ---


def test_prefix_and_d_detach() -> None:
    """Case 1: in one read or two, nothing of them is the program's."""
    assert typed(P + b"d") == [Command.DETACH]
    assert typed(P, b"d") == [Command.DETACH]


def test_what_follows_a_detach_is_discarded() -> None:
    """Case 2: in the same read, in later ones, and at a timeout."""
    machine = KeyMachine(CTRL_SLASH)
    assert machine.feed(b"ab" + P + b"dcd") == [Send(b"ab"), Command.DETACH]
    assert machine.feed(b"ef" + P + b"d") == []
    assert machine.timeout() == []
    assert not machine.pending


@pytest.mark.parametrize("second", [b"x", b"\r", b"\x1b[A", b"\x00", b"\xff", b"\x1b[100;5u"])
def test_prefix_and_another_key(second: bytes) -> None:
    """Case 3: both are the program's, in order, once."""
    assert typed(P + second) == [Send(P + second)]
    assert typed(P, second) == [Send(P + second)]


def test_prefix_twice_sends_one() -> None:
    """Case 4: `P P d` types P and d; `P P P d` types P and detaches."""
    assert typed(P + P + b"d") == [Send(P + b"d")]
    assert typed(P + P + P + b"d") == [Send(P), Command.DETACH]
    assert typed(P * 4 + b"d") == [Send(P + P + b"d")]


def test_a_literal_prefix_is_sent_as_it_came() -> None:
    """A program that speaks kitty's protocol gets the key in kitty's form."""
    assert typed(KITTY_P + KITTY_P + b"d") == [Send(KITTY_P + b"d")]


def test_a_lone_prefix_waits_for_its_timeout() -> None:
    """Case 5: held, with half a second's patience, then the program's; what follows is plain."""
    machine = KeyMachine(CTRL_SLASH)
    assert machine.feed(b"a" + P) == [Send(b"a")]
    assert machine.pending
    assert machine.patience == PREFIX_TIMEOUT_S == 0.5
    assert machine.timeout() == [Send(P)]
    assert not machine.pending
    assert machine.feed(b"d") == [Send(b"d")]


def test_the_end_of_input_releases_the_prefix() -> None:
    """Case 6: nothing can follow any more."""
    machine = KeyMachine(CTRL_SLASH)
    machine.feed(P)
    assert machine.timeout() == [Send(P)]
    assert not machine.pending


@pytest.mark.parametrize(
    ("key", "action"), [(b"k", Command.STOP), (b"s", Command.SAVE_SCREEN), (b"?", Command.HELP)]
)
def test_the_other_keys(key: bytes, action: Action) -> None:
    """They act and the view goes on; each key is found again after them."""
    assert typed(b"a" + P + key + b"b" + P + b"d") == [
        Send(b"a"),
        action,
        Send(b"b"),
        Command.DETACH,
    ]


# --- prefixes of several keys ---


def test_a_sequence_split_over_any_reads() -> None:
    """Case 7: `ctrl-p ctrl-q d` in one read, in two, byte by byte."""
    keys = b"\x10\x11d"
    expected = [Send(b"a"), Command.DETACH]
    assert typed(b"a" + keys, prefix=b"\x10\x11") == expected
    assert typed(b"a", *(keys[n : n + 1] for n in range(3)), prefix=b"\x10\x11") == expected


def test_a_sequence_that_begins_again() -> None:
    """`p p q d` has the prefix behind its first key, which is the program's."""
    assert typed(b"\x10\x10\x11d", prefix=b"\x10\x11") == [Send(b"\x10"), Command.DETACH]
    assert typed(b"aaabd", prefix=b"aab") == [Send(b"a"), Command.DETACH]


def test_half_a_sequence_is_the_programs() -> None:
    """`ctrl-p` and another key are both sent; so is one whose second does not come."""
    assert typed(b"\x10x", prefix=b"\x10\x11") == [Send(b"\x10x")]
    assert typed(b"\x10", prefix=b"\x10\x11") == [Send(b"\x10")]


def test_a_sequence_twice_sends_it_once() -> None:
    """As with a prefix of one key."""
    assert typed(b"\x10\x11\x10\x11d", prefix=b"\x10\x11") == [Send(b"\x10\x11d")]
    assert typed(b"\x10\x11\x10\x11\x10\x11d", prefix=b"\x10\x11") == [
        Send(b"\x10\x11"),
        Command.DETACH,
    ]


def test_a_sequence_and_a_half() -> None:
    """`p q p x`: not twice, not an action; all of it is the program's."""
    assert typed(b"\x10\x11\x10x", prefix=b"\x10\x11") == [Send(b"\x10\x11\x10x")]


# --- pastes ---


def test_a_paste_is_never_a_key() -> None:
    """Case 8: nothing in a bracketed paste detaches, and every byte of it arrives."""
    paste = PASTE_BEGINS + b"a" + P + b"d" + KITTY_P + b"d\x1b[200~" + P + b"d" + PASTE_ENDS
    assert typed(paste) == [Send(paste)]
    assert typed(paste + P + b"d") == [Send(paste), Command.DETACH]


@pytest.mark.parametrize("size", range(1, 9))
def test_a_paste_in_pieces(size: int) -> None:
    """Case 8: also where its brackets are cut in two."""
    data = b"x" + PASTE_BEGINS + P + b"d\x1b[20" + PASTE_ENDS + P + b"d"
    reads = [data[start : start + size] for start in range(0, len(data), size)]
    assert typed(*reads) == [Send(data[:-2]), Command.DETACH]


@pytest.mark.parametrize("cut", range(1, 6))
def test_a_paste_over_a_slow_line(cut: int) -> None:
    """Case 8: a bracket that stops half way and then goes on is one, and what was held is sent."""
    machine = KeyMachine(CTRL_SLASH)
    got: list[Action] = []
    for read in (
        PASTE_BEGINS[:cut], PASTE_BEGINS[cut:] + P + b"d" + PASTE_ENDS[:cut], PASTE_ENDS[cut:],
    ):  # fmt: skip
        got += machine.feed(read) + machine.timeout()
    assert joined(got) == [Send(PASTE_BEGINS + P + b"d" + PASTE_ENDS)]
    assert machine.feed(P + b"d") == [Command.DETACH]


@pytest.mark.parametrize("rest", [P + b"d", b"0" + P + b"d", b"0x" + P + b"d"])
def test_what_only_looked_like_a_paste(rest: bytes) -> None:
    """Half a bracket and then something else: the keys behind it work."""
    machine = KeyMachine(CTRL_SLASH)
    got = [*machine.feed(b"\x1b[20"), *machine.timeout(), *machine.feed(rest)]
    assert joined(got) == [Send(b"\x1b[20" + rest[:-2]), Command.DETACH]


def test_a_prefix_before_a_paste() -> None:
    """The prefix is no part of it, and its second key never came: it is the program's."""
    paste = PASTE_BEGINS + b"d" + PASTE_ENDS
    assert typed(P + paste) == [Send(P + paste)]
    assert typed(P + paste + b"d") == [Send(P + paste + b"d")]


def test_a_pasted_end_that_does_not_come() -> None:
    """What may be a bracket and is none is the program's, and the paste goes on."""
    machine = KeyMachine(CTRL_SLASH)
    got = [*machine.feed(PASTE_BEGINS + b"a\x1b[20"), *machine.timeout()]
    assert sent(got) == PASTE_BEGINS + b"a\x1b[20"
    assert machine.feed(P + b"d" + PASTE_ENDS) == [Send(P + b"d" + PASTE_ENDS)]
    assert machine.feed(P + b"d") == [Command.DETACH]


# --- encodings ---


@pytest.mark.parametrize(
    "prefix",
    [
        KITTY_P,
        b"\x1b[47;5:1u",  # with its event type: pressed
        b"\x1b[47;69u",  # caps lock is on
        b"\x1b[47;133u",  # num lock is on
        b"\x1b[47;197:1u",  # both, with the event type
        b"\x1b[47::47;5u",  # with the key of the base layout
        b"\x1b[47:63;5u",  # with the shifted key
        b"\x1b[47;5;47u",  # with the text
        b"\x1b[95;5u",  # Ctrl-_, which is the same byte
        b"\x1b[45:95;6u",  # Ctrl-Shift-minus is Ctrl-_
        b"\x1b[45;6u",
        b"\x1b[27;5;47~",  # modifyOtherKeys
        b"\x1b[27;5;95~",
    ],
)
@pytest.mark.parametrize("d", [b"d", b"\x1b[100u", b"\x1b[100;1:1u", b"\x1b[100;129u"])
def test_every_form_of_the_prefix(prefix: bytes, d: bytes) -> None:
    """Case 9: whatever the terminal was told to send for Ctrl-/, it is the prefix."""
    assert typed(b"a" + prefix + d) == [Send(b"a"), Command.DETACH]


@pytest.mark.parametrize(
    "other",
    [
        b"\x1b[47u",  # slash
        b"\x1b[47;3u",  # Alt-/
        b"\x1b[47;7u",  # Ctrl-Alt-/
        b"\x1b[47;13u",  # Ctrl-Super-/
        b"\x1b[47;5:3u",  # the release of Ctrl-/
        b"\x1b[27;3;47~",
        b"\x1b[27;5;46~",
        b"\x1b[47;5~",
        b"\x1b[47;5U",
        b"\x1b[1;5A",
    ],
)
def test_keys_that_are_not_the_prefix(other: bytes) -> None:
    """Their neighbours are the program's, unchanged, and so is a d behind them."""
    assert typed(other + b"d") == [Send(other + b"d")]


def test_capital_d_is_another_key() -> None:
    """In every form: `P D` is no detach."""
    assert typed(P + b"D") == [Send(P + b"D")]
    assert typed(P + b"\x1b[100;2u") == [Send(P + b"\x1b[100;2u")]


def test_releases_and_modifiers_come_between() -> None:
    """Case 9: Ctrl goes down, slash, both go up, d: a detach; the program saw Ctrl alone."""
    ctrl, ctrl_up = b"\x1b[57442;5u", b"\x1b[57442;1:3u"
    keys = ctrl + KITTY_P + b"\x1b[47;5:3u" + ctrl_up + b"\x1b[100u"
    assert typed(keys) == [Send(ctrl + ctrl_up), Command.DETACH]


def test_a_program_hears_of_no_release_without_its_press() -> None:
    """The keys of an action were ours when they went down, and are ours when they come up."""
    keys = KITTY_P + b"\x1b[115u" + b"\x1b[115;1:3u" + b"\x1b[47;5:3u" + b"a"
    assert typed(keys) == [Command.SAVE_SCREEN, Send(b"a")]
    # "Report event types" alone: keys that make text come as text, and their release as a sequence.
    keys = KITTY_P + b"\x1b[47;5:3u" + b"s" + b"\x1b[115;1:3u" + b"a"
    assert typed(keys) == [Command.SAVE_SCREEN, Send(b"a")]


def test_releases_follow_a_prefix_that_is_sent() -> None:
    """Prefix and x with their releases: the program gets all four, in order."""
    keys = KITTY_P + b"\x1b[47;5:3u" + b"x" + b"\x1b[120;1:3u"
    assert typed(keys) == [Send(keys)]


def test_an_escape_sequence_between_reads() -> None:
    """The Escape key alone is delivered soon; a sequence that comes in two pieces is whole."""
    machine = KeyMachine(CTRL_SLASH)
    assert machine.feed(b"\x1b") == []
    assert machine.pending
    assert machine.patience == ESCAPE_TIMEOUT_S
    assert machine.timeout() == [Send(b"\x1b")]
    assert machine.feed(b"\x1b[47") == []
    assert machine.feed(b";5u") == []
    assert machine.patience == PREFIX_TIMEOUT_S
    assert machine.feed(b"d") == [Command.DETACH]


def test_a_sequence_without_end_is_not_held_for_ever() -> None:
    """What is longer than any key is none."""
    data = b"\x1b[" + b"1;" * 1000
    machine = KeyMachine(CTRL_SLASH)
    assert len(sent(machine.feed(data))) >= len(data) - 64
    assert sent(typed(data)) == data


def test_a_sequence_too_long_is_no_key_in_any_reads() -> None:
    """Digits that make a prefix longer than any key make it none, whole or in pieces."""
    for zeros in (56, 57, 58, 5000):
        data = b"\x1b[47;" + b"0" * zeros + b"5u" + b"d"
        whole = typed(data)
        assert whole == typed(*(data[n : n + 1] for n in range(len(data))))
        assert whole == ([Command.DETACH] if zeros <= 57 else [Send(data)])


@pytest.mark.parametrize("number", [b"9" * 50, b"1114112", b"4294967296"])
def test_numbers_that_are_no_characters(number: bytes) -> None:
    """A code point beyond Unicode is a key like any other that we do not know."""
    for key in (b"\x1b[%bu", b"\x1b[%b;5u", b"\x1b[47;%bu", b"\x1b[27;5;%b~", b"\x1b[27;%b;47~"):
        assert sent(typed(key % number + b"x")) == key % number + b"x"


# --- bytes ---


def test_every_byte_passes() -> None:
    """Case 10: all 256 values, alone and together, and text that is no UTF-8."""
    for value in range(256):
        assert typed(bytes([value])) == [Send(bytes([value]))]
    everything = bytes(range(256)) + b"\xc3\x28\xf0\x9f\xed\xa0\x80"
    assert typed(everything) == [Send(everything)]


def test_an_emoji_around_a_prefix() -> None:
    """Case 10: the halves of a character arrive on either side of a literal prefix."""
    emoji = "🙂".encode()
    assert typed(emoji[:2], P + P, emoji[2:]) == [Send(emoji[:2] + P + emoji[2:])]
    assert typed(emoji[:2] + P, b"d") == [Send(emoji[:2]), Command.DETACH]


@given(data=TYPED, prefix=PREFIXES)
def test_one_byte_at_a_time_is_the_same(data: bytes, prefix: bytes) -> None:
    """However the bytes are cut into reads, actions and bytes are the same."""
    whole = typed(data, prefix=prefix)
    assert typed(*(data[n : n + 1] for n in range(len(data))), prefix=prefix) == whole


@given(data=st.lists(TYPED, max_size=8), prefix=PREFIXES)
def test_any_reads_are_the_same(data: list[bytes], prefix: bytes) -> None:
    """The same for reads of any sizes, empty ones among them."""
    assert typed(*data, prefix=prefix) == typed(b"".join(data), prefix=prefix)


@given(reads=st.lists(st.tuples(TYPED, st.booleans()), max_size=8))
def test_switched_off_nothing_changes(reads: list[tuple[bytes, bool]]) -> None:
    """Case 11: without a prefix every byte is the program's, whatever times out when."""
    machine = KeyMachine(b"")
    actions: list[Action] = []
    for data, pause in reads:
        actions += machine.feed(data)
        actions += machine.timeout() if pause else []
    actions += machine.timeout()
    everything = b"".join(data for data, _ in reads)
    assert joined(actions) == ([Send(everything)] if everything else [])


@given(reads=st.lists(st.tuples(TYPED, st.booleans()), max_size=8), prefix=PREFIXES)
def test_bytes_are_never_made_up(reads: list[tuple[bytes, bool]], prefix: bytes) -> None:
    """What is sent is what was typed with pieces left out, in order, with timeouts anywhere."""
    machine = KeyMachine(prefix)
    actions: list[Action] = []
    for data, pause in reads:
        actions += machine.feed(data)
        actions += machine.timeout() if pause else []
        assert not (pause and machine.pending)
    actions += machine.timeout()
    rest = iter(b"".join(data for data, _ in reads))
    assert all(byte in rest for byte in sent(actions))


@given(reads=st.lists(st.tuples(TYPED, st.booleans()), max_size=8), prefix=PREFIXES)
def test_any_reads_between_pauses_are_the_same(
    reads: list[tuple[bytes, bool]], prefix: bytes
) -> None:
    """Whole and byte by byte, where pauses come at the same places."""
    results: list[list[Action]] = []
    for size in (1, 1000):
        machine = KeyMachine(prefix)
        actions: list[Action] = []
        for data, pause in reads:
            for start in range(0, len(data), size):
                actions += machine.feed(data[start : start + size])
            actions += machine.timeout() if pause else []
        results.append(joined(actions + machine.timeout()))
    assert results[0] == results[1]


@given(data=TYPED)
def test_without_a_prefix_in_it_nothing_is_lost(data: bytes) -> None:
    """Where no action was taken and no literal prefix typed, every byte has arrived."""
    actions = typed(data, prefix=b"\x00\x01\x02")
    if b"\x00" not in data:
        assert sent(actions) == data


# --- a run without input ---


@pytest.mark.parametrize("key", [b"\x03", b"\x1b[99;5u", b"\x1b[27;5;99~", b"\x1b[99;133:1u"])
def test_ctrl_c_where_the_program_takes_no_input(key: bytes) -> None:
    """In every form it is an action; what else is typed is dropped, and the prefix still works."""
    machine = KeyMachine(CTRL_SLASH, interrupts=True)
    assert machine.feed(b"ls\r" + key + b"x" + P + b"x" + key) == [
        Command.INTERRUPT,
        Command.INTERRUPT,
    ]
    assert machine.feed(P + b"d") == [Command.DETACH]


def test_ctrl_c_is_the_programs_otherwise() -> None:
    """With input Ctrl-C is a byte like any other."""
    assert typed(b"\x03" + P + b"\x03") == [Send(b"\x03" + P + b"\x03")]


# --- the setting ---


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("ctrl-/", b"\x1f"),
        ("ctrl-_", b"\x1f"),
        ("Ctrl-P,Ctrl-Q", b"\x10\x11"),
        ("ctrl-p, ctrl-q", b"\x10\x11"),
        ("ctrl-a", b"\x01"),
        ("ctrl-space", b"\x00"),
        ("ctrl-@", b"\x00"),
        ("ctrl-]", b"\x1d"),
        ("ctrl-\\", b"\x1c"),
        ("~", b"~"),
        ("~,.", b"~."),
    ],
)
def test_what_can_be_a_prefix(text: str, prefix: bytes) -> None:
    """As docker's and ssh's users write them."""
    assert parse_escape_prefix(text) == prefix


@pytest.mark.parametrize("text", ["", "none"])
def test_switched_off(text: str) -> None:
    """Case 11: by the empty string, or a word."""
    assert parse_escape_prefix(text) == b""


@pytest.mark.parametrize(
    "text",
    ["ctrl-", "ctrl-ä", "ctrl-1", "f1", "ctrl-p,", ",", "ctrl-[", "ä", "\x1b", "ctrl-pq", " "],
)
def test_what_is_no_prefix(text: str) -> None:
    """Case 11: a usage error that shows what can be written; Escape begins every other key."""
    with pytest.raises(UsageError) as caught:
        parse_escape_prefix(text)
    assert "in escape keys" in caught.value.summary
    assert "ctrl-" in caught.value.hint
