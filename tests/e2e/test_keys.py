"""Keys typed into an attached terminal: what the program gets, and what detaches."""

from __future__ import annotations

import time
from typing import Any

import pytest

P = b"\x1f"
DETACHED = rb"moat: detached; the run goes on. Come back: moat attach x"


@pytest.fixture
def patient(moat: Any, byte_log: Any) -> Any:
    """A `byte_log` that waits for the key behind a prefix, however late the test is with it."""
    moat.write_settings("prefix_timeout: 0\n")
    return byte_log


def test_prefix_and_d_a_moment_apart(patient: Any) -> None:
    """Case 1: detached, and the program got nothing."""
    app = patient()
    app.window.send(P)
    app.window.linger(0.1)
    app.window.send(b"d")
    app.window.expect(DETACHED)
    assert app.window.wait() == 0
    assert app.typed() == b""


def test_what_surrounds_a_detach(byte_log: Any) -> None:
    """Case 2: in one write, what is before it is typed, and what is behind it is typed nowhere."""
    app = byte_log()
    app.window.send(b"ab" + P + b"dcd")
    app.window.expect(DETACHED)
    assert app.window.wait() == 0
    assert app.typed() == b"ab"


def test_prefix_and_another_key(byte_log: Any) -> None:
    """Case 3: both are typed, in order, once."""
    app = byte_log()
    app.window.send(P + b"x")
    app.got(P + b"x")
    assert app.typed_here() == P + b"x"


def test_prefix_twice(byte_log: Any) -> None:
    """Case 4: sends one; a d behind it is typed; a third prefix and d detach."""
    app = byte_log()
    app.window.send(P + P + b"d")
    app.got(P + b"d")
    app.window.send(P + P + P + b"d")
    app.window.expect(DETACHED)
    assert app.window.wait() == 0
    assert app.typed() == P + b"d" + P


def test_a_lone_prefix(byte_log: Any) -> None:
    """Case 5: typed, but not before half a second, and no other key is needed for it."""
    app = byte_log()
    begun = time.monotonic()
    app.window.send(P)
    app.got(P)
    assert time.monotonic() - begun > 0.4
    app.window.send(b"d")
    app.got(b"d")
    assert app.typed_here() == P + b"d"


@pytest.mark.parametrize("way", ["closed", "terminated"])
def test_a_prefix_and_then_the_end(byte_log: Any, way: str) -> None:
    """Case 6: the window goes while a prefix waits for its second key: the program gets it."""
    app = byte_log()
    app.window.send(b"a" + P)
    app.got(b"a")
    if way == "closed":
        app.window.hang_up()
    else:
        app.window.kill(15)
        assert app.window.wait() == 0
    assert app.typed() == b"a" + P


def test_keys_of_the_users_own(patient: Any) -> None:
    """Case 7: two keys, with a pause behind each; the default is a key like any other then."""
    app = patient("--escape-keys", "ctrl-p,ctrl-q")
    app.window.send(P + b"d")
    app.got(P + b"d")
    for key in (b"\x10", b"\x11", b"d"):
        app.window.send(key)
        app.window.linger(0.05)
    app.window.expect(DETACHED)
    assert app.window.wait() == 0
    assert app.typed() == P + b"d"


@pytest.mark.parametrize("pause", [0, 0.01, 0.2])
def test_a_paste_with_the_keys_in_it(byte_log: Any, pause: float) -> None:
    """Case 8: nothing detaches, every byte arrives, in however many pieces; d detaches behind it."""
    app = byte_log()
    paste = b"\x1b[200~a" + P + b"db\x1b[201~"
    for start in range(0, len(paste), 4):
        app.window.send(paste[start : start + 4])
        app.window.linger(pause)
    app.window.send(b"x" + P + b"d")
    app.window.expect(DETACHED)
    assert app.window.wait() == 0
    assert app.typed() == paste + b"x"


@pytest.mark.parametrize(
    "prefix", [b"\x1b[47;5u", b"\x1b[47;5:1u", b"\x1b[47;197:1u", b"\x1b[27;5;47~", b"\x1b[45;6u"]
)
def test_every_form_of_the_prefix(byte_log: Any, prefix: bytes) -> None:
    """Case 9: kitty's, with event types and lock bits, and modifyOtherKeys' work like the byte."""
    app = byte_log()
    app.window.send(b"a" + prefix + b"d")
    app.window.expect(DETACHED)
    assert app.window.wait() == 0
    assert app.typed() == b"a"


def test_every_byte(byte_log: Any) -> None:
    """Case 10: all 256 values, in both directions, and text that is no UTF-8."""
    app = byte_log()
    everything = bytes(range(256)) + bytes(reversed(range(256))) + b"\xc3\x28\xf0\x9f\xed\xa0\x80"
    app.window.send(everything)
    assert app.typed_here() == everything


def test_an_emoji_around_a_prefix(byte_log: Any) -> None:
    """Case 10: its two halves arrive as they were typed."""
    app = byte_log()
    emoji = "🙂".encode()
    app.window.send(emoji[:2] + P + P + emoji[2:])
    assert app.typed_here() == emoji[:2] + P + emoji[2:]


def test_switched_off(moat: Any, byte_log: Any) -> None:
    """Case 11: without escape keys the prefix is typed at once, and `moat detach` is the way out."""
    app = byte_log("--escape-keys", "")
    app.window.send(P)
    app.got(P)
    app.window.send(P + b"d")
    app.got(P + b"d")
    moat.ok("detach", "x")
    assert app.window.wait() == 0
    assert app.typed() == P + P + b"d"


@pytest.mark.parametrize("keys", ["ctrl-p,", "ctrl-[", "f1", "ctrl-ä"])
def test_keys_that_are_none(moat: Any, terminal: Any, keys: str) -> None:
    """Case 11: a usage error, before anything has started."""
    window = terminal("run", "-i", "-n", "x", "--escape-keys", keys, "--", "true")
    assert window.wait() == 2
    assert b"escape keys" in window.output
    assert moat.runs() == []


def test_halves_from_two_viewers(patient: Any, terminal: Any) -> None:
    """Case 12: the prefix of one and the d of another are no detach; both are typed."""
    app = patient()
    other = terminal("attach", "x")
    other.shows("ready")
    app.window.send(P)
    app.window.shows("d detach")
    other.send(b"d")
    app.got(b"d")
    app.window.send(b"x")
    app.got(P + b"x")
    assert app.typed_here(other) == b"d" + P + b"x"
    assert app.window.wait() == 0


def test_a_prefix_in_two_viewers_at_once(byte_log: Any, terminal: Any) -> None:
    """A detach in one of two windows leaves the other where it is."""
    app = byte_log()
    other = terminal("attach", "x")
    other.shows("ready")
    other.send(b"a" + P + b"d")
    other.expect(DETACHED)
    assert other.wait() == 0
    app.got(b"a")
    assert app.typed_here() == b"a"


def test_help_hides_nothing(byte_log: Any) -> None:
    """The help is shown over the screen; the key that ends it is typed nowhere, the screen is back."""
    app = byte_log()
    app.window.send(P + b"?")
    app.window.shows("detach: the run goes on")
    app.window.send(b"x")
    app.window.until(lambda: "detach" not in app.window.screen.text())
    assert "ready" in app.window.screen.text()
    assert app.typed_here() == b""
