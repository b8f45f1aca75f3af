"""Following a run's output, over all the supervisors that it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.client.supervisors import UPGRADED, Supervisors, frames

from moat.client.watch.output import follow_output
from moat.errors import MoatError
from moat.runs.states import State
from moat.session.journal.index import Stream
from moat.wire import messages
from moat.wire.frames import FrameReader, FrameType
from moat.wire.messages import Exited, Failure, Hello, unpack

if TYPE_CHECKING:
    from moat.runs.store import Run, Store

EXITED = (FrameType.EXITED, messages.pack(Exited(0)))


def hello(request: bytes) -> Hello:
    ((_, payload),) = FrameReader().feed(request)
    return unpack(Hello, payload)


def test_output_goes_on_with_the_next_supervisor(store: Store, run: Run) -> None:
    """From the byte at which the one before it died."""
    first = UPGRADED + frames((FrameType.STDOUT, b"hel"))
    second = UPGRADED + frames((FrameType.STDOUT, b"lo"), (FrameType.STDERR, b"!"), EXITED)
    offsets = {Stream.STDOUT: 10, Stream.STDERR: 20}
    with Supervisors(store.folder(run.id), first, second) as supervisors:
        pieces = list(follow_output(store, run, offsets))
    assert pieces == [(Stream.STDOUT, b"hel"), (Stream.STDOUT, b"lo"), (Stream.STDERR, b"!")]
    assert offsets == {Stream.STDOUT: 15, Stream.STDERR: 21}
    asked = [hello(each) for each in supervisors.requests[1::2]]
    assert [(each.stdout, each.stderr) for each in asked] == [(10, 20), (13, 20)]
    assert all(each.read_only for each in asked)


def test_the_last_output_of_a_run_that_has_ended_comes_from_its_supervisor(
    store: Store, run: Run
) -> None:
    """The state is written when the sandbox is found gone; what is left in its pipe is read then."""
    store.update(run.id, state=State.LOST)
    answer = UPGRADED + frames((FrameType.STDOUT, b"last words"), EXITED)
    with Supervisors(store.folder(run.id), answer):
        pieces = list(follow_output(store, run, dict.fromkeys(Stream, 0)))
    assert pieces == [(Stream.STDOUT, b"last words")]


def test_a_run_that_is_over_is_not_followed(store: Store, run: Run) -> None:
    """Its journal has everything, and no supervisor is started for it."""
    store.update(run.id, state=State.STOPPED, exit_code=0)
    assert list(follow_output(store, run, dict.fromkeys(Stream, 0))) == []


def test_a_start_that_failed_is_an_error(store: Store, run: Run) -> None:
    """Nothing of such a run remains that could say why."""
    failure = messages.pack(Failure("no sandbox", "install it"))
    with (
        Supervisors(store.folder(run.id), UPGRADED + frames((FrameType.FAILED, failure))),
        pytest.raises(MoatError, match="no sandbox"),
    ):
        list(follow_output(store, run, dict.fromkeys(Stream, 0)))
