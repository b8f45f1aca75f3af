"""A client's terminal, as far as the supervisor writes on it and reads it.

The terminal of a client on this machine is passed as a descriptor: the supervisor paints it directly,
reads its keyboard where that was lent, and gives it back should the client die. Any other terminal is
reached over frames.
"""

from __future__ import annotations

import logging
import os
import termios
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moat.platform import tty
from moat.session.journal.index import Stream
from moat.session.write_queue import WriteQueue

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from moat.session.viewers import FrameSink
    from moat.supervisor.connection import FrameConnection

log = logging.getLogger(__name__)


class PassedTerminal:
    """A terminal that the client has passed, opened anew so that O_NONBLOCK is not shared with it."""

    def __init__(
        self,
        passed: int,
        saved: list[Any],
        loop: asyncio.AbstractEventLoop,
        *,
        drained: Callable[[], None],
        broken: Callable[[OSError], None],
        left_over: Callable[[bytes], None],
    ) -> None:
        """Open the terminal behind the descriptor `passed`, which stays the caller's.

        `saved` are its attributes from before the client changed them. `drained` and `broken` are
        those of a write queue. `left_over` gets what of the last bytes there was no room for. Raises
        `OSError` where the terminal can't be opened by name (after `su`, say), and `termios.error`
        where it is none.
        """
        flags = os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        self.fd = os.open(f"/proc/self/fd/{passed}", flags)
        """A descriptor for an event loop to wait on."""
        self._saved = saved
        self._left_over = left_over
        try:
            self._raw = termios.tcgetattr(self.fd)
        except termios.error:
            os.close(self.fd)
            raise
        self.name = str(Path(f"/proc/self/fd/{passed}").readlink())
        self._new_queue = partial(WriteQueue, loop, self.fd, drained=drained, broken=broken)
        self._queue = self._new_queue()

    @property
    def queued(self) -> int:
        """Bytes that the terminal has not taken yet."""
        return self._queue.queued

    def output(self, _stream: Stream, data: bytes) -> None:
        """Paint, now or as soon as the terminal takes it."""
        self._queue.write(data)

    def read(self, size: int) -> bytes | None:
        """Return what was typed: `None` for nothing now, and no bytes where the terminal was hung up."""
        try:
            return os.read(self.fd, size)
        except BlockingIOError:
            return None
        except OSError as exc:
            log.info("nothing more is typed: %s", exc)
            return b""

    def write_now(self, data: bytes) -> bytes:
        """Write what the terminal takes at once and return the rest, in a flood perhaps all.

        There is no rest for a terminal that was closed with its window.
        """
        try:
            return data[os.write(self.fd, data) :]
        except BlockingIOError:
            return data
        except OSError as exc:
            log.info("terminal not reset: %s", exc)
            return b""

    def finish(self, data: bytes) -> None:
        """Write the last bytes. What there is no room for is its client's to write, which can wait."""
        rest = self.write_now(data)
        if rest:
            self._left_over(rest)

    def overwrite(self, data: bytes) -> None:
        """Write in the place of what is queued and, in a full terminal, of what it has not shown yet."""
        self._queue.close()
        self._queue = self._new_queue()
        if self.write_now(data):
            with suppress(termios.error):  # closed meanwhile
                termios.tcflush(self.fd, termios.TCOFLUSH)
            self.write_now(data)

    def restore_for_dead_client(self, last_bytes: bytes) -> None:
        """Turn modes off and echo on again, unless another process has taken the terminal over."""
        if not self._saved:
            return
        if last_bytes:
            self.overwrite(last_bytes)
        try:
            tty.restore_if_still_raw(self.fd, self._raw, self._saved)
        except OSError as exc:
            log.info("terminal not given back: %s", exc)  # closed with its window

    def close(self) -> None:
        self._queue.close()
        os.close(self.fd)


class FramedTerminal:
    """A terminal that can't be opened here: its client writes what comes in frames."""

    def __init__(self, connection: FrameConnection) -> None:
        self._sink: FrameSink = connection.sink()

    @property
    def queued(self) -> int:
        """Bytes that the client has not taken yet."""
        return self._sink.queued

    def output(self, stream: Stream, data: bytes) -> None:
        self._sink.output(stream, data)

    def finish(self, data: bytes) -> None:
        self._sink.output(Stream.STDOUT, data)

    def overwrite(self, data: bytes) -> None:
        """Write behind what is queued: what is on its way to a client can't be taken back."""
        self._sink.output(Stream.STDOUT, data)
