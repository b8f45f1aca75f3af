"""The guard of responses: what a server that got credentials answers. Pure.

It stands between the upstream and the exchange. It masks what the server sends back of a credential, and
asks for a new credential where the server refuses the one that it got.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moat.egress.authorization.echo import (
    CODINGS,
    BodySearch,
    CodedSearch,
    EchoFoundError,
    MaskingSearch,
    UndecodableError,
)
from moat.egress.http.messages import NO_BODY, UNTIL_CLOSE

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.egress.http.interfaces import PendingExchange
    from moat.egress.http.messages import Payload, ResponseHead
    from moat.egress.http.secret_masking import Secrets
    from moat.egress.traffic.entry import Fields

_SWITCHING: Final = 101
_CODING_FIELD: Final = b"content-encoding"
_PLAIN: Final = (b"", b"identity")
_UNAUTHORIZED: Final = 401


class ResponseGuard:
    """The receiver of one response."""

    def __init__(
        self,
        exchange: PendingExchange,
        secrets: list[tuple[str, Secrets]],
        on_echo: Callable[[str, str, int], None],
    ) -> None:
        """`secrets`: what the server got, each with the name of its grant."""
        self._exchange = exchange
        self._secrets = secrets
        self._on_echo = on_echo
        self._searches: list[BodySearch] = []
        self._left = UNTIL_CLOSE
        """Bytes of the body that are still to come, if known; else negative."""
        self._unbegun = False
        """The body is plain, and nothing of it has come."""
        self._withdrawn = False
        self.on_refused: Callable[[], None] | None = None
        """Called when the server refuses the credential, after the request has been withdrawn."""

    # --- from the server ---

    def response_head(self, head: ResponseHead) -> None:
        if self._withdrawn:
            return
        if head.status == _UNAUTHORIZED and self._withdraw():
            return
        for name, secrets in self._secrets:
            if _mask_head(head, secrets):
                self._echoed(name)
        if head.status >= 200 or head.status == _SWITCHING:
            problem = self._begin_body(head)
            if problem:
                self._exchange.failed(502, problem)
                return
        self._exchange.response_head(head)

    def response_data(self, payload: Payload) -> None:
        if self._withdrawn:
            return
        if self._left > 0:
            for piece in payload:
                self._left -= len(piece)
        ends = self._left == 0
        if self._unbegun:
            self._unbegun = False
            if ends and self._is_clean(payload):
                self._exchange.response_data(payload)
                return
            self._searches = [MaskingSearch(name, secrets) for name, secrets in self._secrets]
        self._search(payload, ends=ends)

    def response_end(self, trailers: Fields) -> None:
        if self._withdrawn:
            return
        self._release()
        if trailers:
            for name, secrets in self._secrets:
                trailers, found = _masked(trailers, secrets)
                if found:
                    self._echoed(name)
        self._exchange.response_end(trailers)

    def response_flush(self) -> None:
        if not self._withdrawn:
            self._exchange.response_flush()

    def upstream_full(self) -> None:
        if not self._withdrawn:
            self._exchange.upstream_full()

    def upstream_drained(self) -> None:
        if not self._withdrawn:
            self._exchange.upstream_drained()

    def upstream_lost(self, why: str, *, unused: bool) -> None:
        if self._withdrawn:
            return
        if self._exchange.entry.protocol == "websocket":
            self._release()
        self._exchange.upstream_lost(why, unused=unused)

    def failed(self, status: int, why: str) -> None:
        if not self._withdrawn:
            self._exchange.failed(status, why)

    # --- ---

    def _withdraw(self) -> bool:
        """Have the request repeated with a new credential, if that is possible."""
        refused, self.on_refused = self.on_refused, None
        if refused is None or not self._exchange.withdraw():
            return False
        self._withdrawn = True
        refused()
        return True

    def _begin_body(self, head: ResponseHead) -> str:
        """Prepare the search of the body, and return why that is impossible; empty if it isn't."""
        if head.framing == NO_BODY and head.status != _SWITCHING:
            return ""
        self._left = UNTIL_CLOSE if head.status == _SWITCHING else head.framing
        coding = _coding(head.fields)
        # A part of a coded body can't be decoded, neither here nor in the sandbox.
        plain = coding in _PLAIN or head.status == 206
        if not plain and coding not in CODINGS:
            shown = coding.decode("latin-1")
            return (
                f"the response has the coding {shown!r}, in which no credential can be looked for"
            )
        self._unbegun = plain
        if not plain:
            self._searches = [CodedSearch(name, secrets, coding) for name, secrets in self._secrets]
        return ""

    def _search(self, payload: Payload, *, ends: bool) -> None:
        """Pass on what of the body may be, with secrets masked."""
        for search in self._searches:
            try:
                payload = search.feed(payload, ends=ends)
            except EchoFoundError:
                self._echoed(search.name)
                self._break_off("it has the credential in its body, which is coded")
                return
            except UndecodableError as exc:
                self._break_off(f"its body can't be searched for the credential: {exc}")
                return
            if search.found:
                self._echoed(search.name)
        if payload:
            self._exchange.response_data(payload)

    def _is_clean(self, payload: Payload) -> bool:
        """Tell whether a body that came at once has no secret: most are like that."""
        text = b"".join(payload)
        for _, secrets in self._secrets:  # noqa: SIM110  a loop is faster, on the path of a request
            if secrets.found_in(text):
                return False
        return True

    def _release(self) -> None:
        """Pass on what is held back: it was no secret after all."""
        if self._left == 0:
            return
        searches, self._searches = self._searches, []
        for at, search in enumerate(searches):
            payload = search.end()
            for later in searches[at + 1 :]:
                payload = later.feed(payload, ends=True)
            if payload:
                self._exchange.response_data(payload)

    def _break_off(self, why: str) -> None:
        self._withdrawn = True
        self._exchange.failed(502, f"the response was broken off: {why}")

    def _echoed(self, name: str) -> None:
        """Record that the server sent a credential back, once for each response."""
        entry = self._exchange.entry
        if not entry.error:
            entry.error = f"the server sent the credential {name} back, which was masked"
            self._on_echo(name, entry.host, entry.port)


def _coding(fields: Fields) -> bytes:
    """Return the content's coding, or several as they are listed."""
    found = b""
    for name, value in fields:
        if len(name) == len(_CODING_FIELD) and name.lower() == _CODING_FIELD:
            found = found + b", " + value if found else value
    return found.strip().lower().removeprefix(b"x-") if found else found


def _mask_head(head: ResponseHead, secrets: Secrets) -> bool:
    head.fields, found = _masked(head.fields, secrets)
    if head.reason and secrets.found_in(head.reason):
        head.reason = secrets.masked(head.reason)
        return True
    return found


def _masked(fields: Fields, secrets: Secrets) -> tuple[Fields, bool]:
    """Return fields without secrets, in names as in values, and whether there were any."""
    if not _found_in(fields, secrets):
        return fields, False
    return [(secrets.masked(name), secrets.masked(value)) for name, value in fields], True


def _found_in(fields: Fields, secrets: Secrets) -> bool:
    shortest = secrets.shortest
    for name, value in fields:
        # Most names and values are shorter than any secret.
        if len(value) >= shortest and secrets.found_in(value):
            return True
        if len(name) >= shortest and secrets.found_in(name):
            return True
    return False
