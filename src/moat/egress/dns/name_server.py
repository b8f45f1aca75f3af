"""The name server of a sandbox: asks nobody, and answers from the run's policy.

`message` knows the format, `server` the sockets; here it is decided which names exist, and each
question is recorded.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from moat.egress.dns import message
from moat.egress.names import canonical_host, is_address
from moat.egress.policy.decision import Decision, Verdict
from moat.egress.traffic.entry import TrafficEntry

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.egress.dns.synthetic_ips import SyntheticAddresses
    from moat.egress.policy.engine import Policy

log = logging.getLogger(__name__)

_ERRORS: Final = {
    "REFUSED": "REFUSED: only questions of the class IN are answered",
    "SERVFAIL": "SERVFAIL: no address for a new name, which can't be kept on disk",
}
_NO_SERVER: Final = Decision(Verdict.DENY, "names of servers", "moat: it names no server")


class NameServer:
    def __init__(
        self,
        addresses: SyntheticAddresses,
        policy: Callable[[], Policy],
        put: Callable[[TrafficEntry], None],
        now: Callable[[], float],
    ) -> None:
        """`policy` returns the policy as it is now, `now` seconds since the epoch; `put` records."""
        self._addresses = addresses
        self._policy = policy
        self._put = put
        self._now = now

    def answer(self, query: bytes, transport: str) -> bytes | None:
        """Return the reply to a message, or `None` where there is nobody to reply to."""
        entry = TrafficEntry("dns", self._now())
        answer = message.answer(query, self._address_of, lambda name: self._absence(name).reason)
        entry.scheme = transport
        entry.method = answer.type
        entry.host = answer.name
        entry.port = 53
        entry.total = 0.0
        if answer.code != "NOERROR":
            entry.verdict = "denied" if answer.code in {"NXDOMAIN", "REFUSED"} else "failed"
            entry.rule = self._absence(answer.name).rule if answer.code == "NXDOMAIN" else ""
            entry.error = _ERRORS.get(answer.code, answer.code)
        self._put(entry)
        return answer.reply

    def _address_of(self, name: str) -> str | None:
        try:
            host = canonical_host(name)
        except ValueError:
            return None
        if is_address(host) or self._policy().hidden(host) is not None:
            return None
        try:
            return self._addresses.address(host)
        except OSError as exc:  # a full disk: until there is room, nothing passes anyway
            log.error("no address for a new name: %s", exc.strerror)  # noqa: TRY400  no traceback
            raise

    def _absence(self, name: str) -> Decision:
        """Return why a name has no address."""
        try:
            return self._policy().hidden(canonical_host(name)) or _NO_SERVER
        except ValueError:
            return _NO_SERVER
