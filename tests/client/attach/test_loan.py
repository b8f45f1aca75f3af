"""A view whose keyboard the supervisor reads: what is left for the client to do."""

from __future__ import annotations

import os
import select
import signal
from typing import TYPE_CHECKING, Any

import pytest
from tests.client.attach.scenes import TIMEOUT_S, PlayedSupervisor, Scene, send_signal

from moat.client.attach import loan as loan_module
from moat.client.attach import terminal as terminal_module
from moat.client.attach.endings import Detached
from moat.client.attach.loan import Typed
from moat.platform import tty
from moat.wire import frames
from moat.wire.frames import FrameType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.client.attach.scenes import Desk

P = b"\x1f"


@pytest.fixture
def scene() -> Iterator[Scene]:
    at_desk = Scene()
    at_desk.lent = True
    yield at_desk
    at_desk.desk.close()


def stops(monkeypatch: pytest.MonkeyPatch, stop: Callable[[int, int], None]) -> None:
    """Instead of the kernel, which would stop this process and its group."""
    monkeypatch.setattr(os, "kill", stop)


def test_keys_are_left_alone(scene: Scene) -> None:
    """The supervisor reads them from the terminal."""

    def script(supervisor: PlayedSupervisor, desk: Desk) -> None:
        desk.type(b"x" + P + b"d")
        supervisor.send(FrameType.HINT)  # of no meaning: both have turned once
        assert select.select([desk.ends[0]], [], [], TIMEOUT_S)[0]
        assert os.read(desk.ends[0], 10) == b"x" + P + b"d"
        supervisor.send(FrameType.DETACHED)

    assert scene.play(script) == Detached("")


def test_a_supervisor_that_can_t_read_them(scene: Scene) -> None:
    """The client does, from then on."""

    def script(supervisor: PlayedSupervisor, desk: Desk) -> None:
        supervisor.send(FrameType.NOT_LENT)
        desk.type(b"x")
        assert supervisor.expect(FrameType.INPUT) == b"x"
        supervisor.exit()

    scene.play(script)


def test_a_supervisor_that_leaves_keys_unread(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked whether it lives; then nothing changes. If it doesn't answer, its loan ends."""
    monkeypatch.setattr(loan_module, "UNREAD_S", 0.01)

    def script(supervisor: PlayedSupervisor, desk: Desk) -> None:
        desk.type(b"x")
        supervisor.expect(FrameType.PING)
        monkeypatch.setattr(loan_module, "ANSWER_S", 0.01)
        supervisor.send(FrameType.PONG)
        supervisor.expect(FrameType.PING)
        supervisor.expect(FrameType.TAKE_BACK)
        assert supervisor.expect(FrameType.INPUT) == b"x"
        supervisor.exit()

    scene.play(script)


def test_what_it_holds_is_kept(scene: Scene) -> None:
    """Until the program has taken it; what is left goes to the next supervisor, before the keyboard."""

    def first(supervisor: PlayedSupervisor, _desk: Desk) -> None:
        supervisor.send(FrameType.HELD, b"abc")
        supervisor.send(FrameType.HELD, b"def")
        supervisor.send(FrameType.TAKEN, frames.COUNT.pack(4))
        supervisor.send(FrameType.PASTING, b"\1")
        supervisor.exit()

    def second(supervisor: PlayedSupervisor, _desk: Desk) -> None:
        assert supervisor.expect(FrameType.INPUT) == b"ef"
        supervisor.expect(FrameType.RESUME)
        supervisor.send(FrameType.PASTING, b"\0")
        supervisor.exit()

    scene.play(first)
    assert scene.typed == Typed(bytearray(b"ef"), pasting=True)
    scene.play(second)
    assert scene.typed == Typed()


def test_sigint_is_the_supervisors_to_answer(scene: Scene) -> None:
    """It counts how often, as it does for Ctrl-C."""

    def script(supervisor: PlayedSupervisor, _desk: Desk) -> None:
        send_signal(signal.SIGINT)
        supervisor.expect(FrameType.INTERRUPT)
        supervisor.exit()

    scene.play(script)


def test_keys_in_the_background_stop_it(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the kernel stops a reader; continued, it takes the terminal, and the keys are read again."""
    in_front = iter([False, True])
    stopped: list[tuple[int, int]] = []
    monkeypatch.setattr(terminal_module, "in_foreground", lambda _fd: next(in_front))
    stops(monkeypatch, lambda pid, number: stopped.append((pid, number)))
    before: list[Any] = scene.desk.line_discipline

    def script(supervisor: PlayedSupervisor, desk: Desk) -> None:
        supervisor.send(FrameType.BACKGROUND)
        supervisor.expect(FrameType.RESIZE)
        supervisor.expect(FrameType.RESUME)
        assert desk.line_discipline == tty.raw(before)
        supervisor.exit()

    scene.play(script)
    assert stopped == [(0, signal.SIGTTIN)]


def test_a_background_that_nobody_continues(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """An orphaned group isn't stopped, and its reads fail: it leaves."""
    monkeypatch.setattr(terminal_module, "in_foreground", lambda _fd: False)
    stops(monkeypatch, lambda _pid, _number: None)

    def script(supervisor: PlayedSupervisor, _desk: Desk) -> None:
        supervisor.send(FrameType.BACKGROUND)
        supervisor.expect(FrameType.DETACH)
        supervisor.send(FrameType.DETACHED)

    assert scene.play(script) == Detached("")
