"""Following a run's output (`moat logs -f`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moat.client.connect.channel import Channel, ChannelLostError, raise_failure
from moat.client.connect.launch import is_supervised
from moat.client.connect.restart_limit import RestartLimit
from moat.client.connect.supervisor_client import SupervisorClient, SupervisorLeftError
from moat.errors import RunNotActiveError
from moat.paths import MAIN_SESSION
from moat.session.journal.index import Stream
from moat.wire.frames import FrameType
from moat.wire.messages import NO_SESSION, UPGRADE, Failure, Hello, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moat.runs.store import Run, Store

_STREAMS: Final[dict[int, Stream]] = {
    FrameType.STDOUT: Stream.STDOUT,
    FrameType.STDERR: Stream.STDERR,
}


def follow_output(
    store: Store, run: Run, offsets: dict[Stream, int], session: str = MAIN_SESSION
) -> Iterator[tuple[Stream, bytes]]:
    """Yield what comes to the journal behind `offsets`, which move along, until the session has ended.

    A run that has ended may still be followed, as long as its supervisor lives: that has the last of
    its output, which may not be in the journal yet.
    """
    folder = store.folder(run.id)
    client = SupervisorClient(store.home, folder)
    limit = RestartLimit(store, run)
    while not store.get(run.id).ended or is_supervised(folder):
        try:
            with Channel(client.upgrade("/v1/attach", UPGRADE).sock) as channel:
                yield from _receive(channel, offsets, session)
            break
        except RunNotActiveError:
            break
        except (ChannelLostError, SupervisorLeftError) as exc:
            limit.supervisor_died(exc)  # the next one goes on from `offsets`


def _receive(
    channel: Channel, offsets: dict[Stream, int], session: str
) -> Iterator[tuple[Stream, bytes]]:
    """Yield output until the command has ended, or nothing where it has long ago.

    Raise `ChannelLostError` where the connection breaks, and `MoatError` where the run could not start.
    """
    channel.sock.setblocking(True)
    channel.greet(
        Hello(
            session=session,
            read_only=True,
            stdout=offsets[Stream.STDOUT],
            stderr=offsets[Stream.STDERR],
        )
    )
    while True:
        for kind, payload in channel.receive():
            if kind in _STREAMS:
                stream = _STREAMS[kind]
                offsets[stream] += len(payload)
                yield stream, payload
            elif kind == FrameType.EXITED:
                return
            elif kind == FrameType.FAILED:
                if unpack(Failure, payload).code == NO_SESSION:
                    return
                raise_failure(payload)
