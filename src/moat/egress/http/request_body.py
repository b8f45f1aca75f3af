"""The body of one request, on its way from the client to the server. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from moat.egress.http.messages import NO_BODY, BadMessageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.egress.http.messages import Payload
    from moat.egress.traffic.entry import Fields

REPEATABLE: Final = 1 << 20
"""Bytes of a body that are kept for sending it again."""
WHOLE: Final = 32 << 20
"""Bytes of a body that has to be there as a whole, before anything is sent."""


class Sink(Protocol):
    """A connection to a server, as a body needs it."""

    def send(self, payload: Payload) -> None: ...


class RequestBody:
    __slots__ = ("_complete", "_early", "_kept", "_length", "done", "size", "trailers")

    def __init__(self, framing: int) -> None:
        self.done = framing == NO_BODY
        """The client has sent all of it."""
        self._length = framing
        """Length of the body, if known beforehand; else negative."""
        self.size = 0
        self.trailers: Fields = []
        self._early: Payload = []
        """The part that came before there was a connection."""
        self._kept: bytearray | None = None
        """All of it, if it may have to be sent again."""
        self._complete: Callable[[], None] | None = None

    def has_no_length(self) -> None:
        """Take what follows as bytes without an end of their own: the protocol was switched."""
        self.done = False
        self._length = -1
        self._kept = None

    def count(self, payload: Payload) -> None:
        """Raise `BadMessageError` for a body that is too long."""
        for piece in payload:
            self.size += len(piece)
        if 0 <= self._length < self.size:
            raise _other_length()
        if self._complete is not None and self.size > WHOLE:
            raise BadMessageError(
                f"the body is longer than {WHOLE >> 20} MiB, and needed whole", 413
            )

    def end(self, trailers: Fields) -> None:
        """Raise `BadMessageError` for a body that is too short."""
        if 0 <= self._length != self.size:
            raise _other_length()
        self.done = True
        self.trailers = trailers

    def pass_on(self, payload: Payload, upstream: Sink | None) -> None:
        if self._kept is not None:
            self._keep(payload)
        if upstream is None:
            self._early += payload
        else:
            upstream.send(payload)

    def send_early(self, upstream: Sink) -> None:
        """Send what came before there was this connection."""
        if self._early:
            early, self._early = self._early, []
            upstream.send(early)

    # --- needing it whole ---

    def wait(self, complete: Callable[[], None]) -> bool:
        """Call `complete` when the client has sent all of it; return whether it has already.

        Nothing of it has been sent yet.
        """
        if not self.done:
            self._complete = complete
        return self.done

    def completed(self) -> None:
        complete, self._complete = self._complete, None
        if complete is not None:
            complete()

    @property
    def content(self) -> bytes:
        """All of it, once it is complete."""
        return b"".join(self._early)

    def replace(self, content: bytes) -> None:
        """Send this in its place; what is kept stays as the client sent it."""
        self._early = [content]

    # --- sending it again ---

    def keep(self) -> None:
        """Keep all of it from now on, unless it is too long. Nothing of it has been sent yet."""
        if self._kept is None:
            self._kept = bytearray()
            self._keep(self._early)

    def rewind(self) -> bool:
        """Prepare to send all of it once more, and tell whether that is possible."""
        if self._length == NO_BODY:
            return True
        if self._kept is None or not self.done:
            return False
        self._early = [bytes(self._kept)] if self._kept else []
        return True

    def _keep(self, payload: Payload) -> None:
        kept = self._kept
        if kept is None:
            return
        for piece in payload:
            kept += piece
        if len(kept) > REPEATABLE:
            self._kept = None


def _other_length() -> BadMessageError:
    # Only HTTP/2 can contradict itself like this. A server of HTTP/1.1 would take the next request for
    # the rest of this body, or the rest of this body for a request that nobody decided about.
    return BadMessageError("the body is not as long as its Content-Length")
