"""The authorizer of a run: what goes upstream in place of what the client sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, ParamSpec, Protocol

from moat.egress.authorization import placing
from moat.egress.authorization.choice import Grants, Refusal
from moat.egress.authorization.places import UnusableCredentialError
from moat.egress.authorization.response_guard import ResponseGuard
from moat.egress.http.messages import NO_BODY
from moat.egress.policy.decision import Decision, Verdict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from moat.egress.authorization.choice import Use
    from moat.egress.authorization.held import HeldCredential
    from moat.egress.http.interfaces import PendingExchange, ResponseReceiver
    from moat.egress.http.messages import RequestHead
    from moat.egress.traffic.entry import Fields
    from moat.spec.grants import Grant

    Send = Callable[[PendingExchange, RequestHead, str, ResponseReceiver | None], None]

P = ParamSpec("P")

_RULE: Final = "grants"
_SEPARATOR: Final = ", "
"""Between the names of several credentials that one request used."""
MAX_PLANS: Final = 256
_Asked = tuple[str, tuple[str, str, int], str, int]
"""The method, the server, the target and the number of fields of a request: what finds its plan."""


class Spawn(Protocol):
    """Runs a coroutine function in a task of its own."""

    def __call__(
        self, work: Callable[P, Awaitable[None]], /, *args: P.args, **kwargs: P.kwargs
    ) -> None: ...


class CredentialSource(Protocol):
    """The one that has the secrets: the supervisor, with the vault behind it."""

    def exists(self, grant: Grant, /) -> bool:
        """Tell whether there still is such a credential."""
        ...

    def held(self, grant: Grant, /) -> HeldCredential | None:
        """Return a credential that can be used at once; `None` if it has to be fetched first."""
        ...

    async def fetch(self, grant: Grant, /, rejected: HeldCredential | None) -> HeldCredential:
        """Return a credential as it is now. Raises `CredentialUnavailableError`.

        `rejected`: what the server refused, and is to be renewed.
        """
        ...


class CredentialUnavailableError(Exception):
    """A granted credential can't be had; the text says why, in one line."""


class Authorizer:
    """Puts the credentials of a run's grants into its requests, and looks for them in the responses."""

    def __init__(
        self,
        grants: Sequence[Grant],
        source: CredentialSource,
        spawn: Spawn,
    ) -> None:
        self._grants = Grants(grants)
        self._by_name = {grant.name: grant for grant in grants}
        self._source = source
        self._spawn = spawn
        self._plans: dict[_Asked, _Plan] = {}
        self.on_echo: Callable[[str, str, int], None] = lambda _name, _host, _port: None
        """Called with the grant, the host and the port where a server sent a credential back."""
        self.on_use: Callable[[str, str, int], str] = lambda _name, _host, _port: ""
        """Called with the same before a credential is sent; returns why it may not be, or nothing."""

    def authorize(self, exchange: PendingExchange, send: Send) -> None:
        """Send the exchange's request, at once or later: with credentials or without, or deny it."""
        request, target = exchange.request, exchange.target
        destination = exchange.destination
        if not self._grants.concern(destination):
            send(exchange, request, target, None)
            return
        plan = self._known_plan(exchange)
        if plan is not None:
            self._go(exchange, plan, request.with_fields(plan.fields), send)
            return
        uses = self._grants.uses(request, destination, target)
        if isinstance(uses, Refusal):
            exchange.deny(_denial(uses.why))
        elif not uses:
            send(exchange, request, target, None)
        elif any(placing.needs_body(use, request) for use in uses):
            if exchange.body.wait(lambda: self._use(exchange, uses, send)):
                self._use(exchange, uses, send)
            else:
                exchange.downstream.resume()
        else:
            self._use(exchange, uses, send)

    def forget(self) -> None:
        """Forget the secrets that are at hand: the vault has changed."""
        self._plans.clear()

    def revoked(self, names: str) -> Decision | None:
        """Return the denial of what was sent with credentials, if one of them is gone."""
        for name in names.split(_SEPARATOR):
            grant = self._by_name.get(name)
            if grant is not None and not self._source.exists(grant):
                return _denial(f"the credential {name} was revoked")
        return None

    def _use(self, exchange: PendingExchange, uses: Sequence[Use], send: Send) -> None:
        found: list[HeldCredential] = []
        for use in uses:
            held = self._source.held(use.grant)
            if held is None:
                self._spawn(self._fetch, exchange, uses, send)
                return
            found.append(held)
        self._send(exchange, uses, found, send)

    async def _fetch(
        self,
        exchange: PendingExchange,
        uses: Sequence[Use],
        send: Send,
        rejected: Sequence[HeldCredential] = (),
    ) -> None:
        found: list[HeldCredential] = []
        for at, use in enumerate(uses):
            refused = rejected[at] if rejected and rejected[at].renewable else None
            try:
                found.append(await self._source.fetch(use.grant, refused))
            except CredentialUnavailableError as exc:
                exchange.deny(_unusable(use, exc))
                return
            except BaseException:
                exchange.failed(502, f"the credential {use.grant.name} couldn't be fetched")
                raise
        self._send(exchange, uses, found, send, again=bool(rejected))

    def _send(
        self,
        exchange: PendingExchange,
        uses: Sequence[Use],
        found: Sequence[HeldCredential],
        send: Send,
        *,
        again: bool = False,
    ) -> None:
        request, body = exchange.request, exchange.body
        whole = body.content if any(placing.needs_body(use, request) for use in uses) else None
        host = exchange.destination.authority
        outgoing = placing.Outgoing(request, exchange.target, host, whole)
        for use, held in zip(uses, found, strict=True):
            try:
                outgoing = placing.with_credential(outgoing, use, held.fields)
            except UnusableCredentialError as exc:
                exchange.deny(_unusable(use, exc))
                return
        placing.ask_for_readable_response(outgoing.request)
        for use in uses:
            problem = self.on_use(
                use.grant.name, exchange.destination.host, exchange.destination.port
            )
            if problem:
                exchange.deny(_denial(problem))
                return
        plan = _Plan(request, uses, found, outgoing.request.fields, outgoing.target)
        if whole is None:
            self._remember(exchange, plan)
        self._go(exchange, plan, outgoing.request, send, outgoing.body, again=again)

    def _go(
        self,
        exchange: PendingExchange,
        plan: _Plan,
        request: RequestHead,
        send: Send,
        body: bytes | None = None,
        *,
        again: bool = False,
    ) -> None:
        exchange.entry.credential = plan.credential
        guard = ResponseGuard(exchange, plan.secrets, self.on_echo)
        if plan.renewable and not again:
            exchange.body.keep()
            uses, found = plan.uses, plan.found
            guard.on_refused = lambda: self._spawn(self._fetch, exchange, uses, send, found)
        if body is not None:
            exchange.body.replace(body)
        send(exchange, request, plan.target, guard)

    def _remember(self, exchange: PendingExchange, plan: _Plan) -> None:
        if len(self._plans) >= MAX_PLANS:
            self._plans.clear()
        request = exchange.request
        if not request.overriding and not request.rerouted:  # on which a plan would depend, too
            self._plans[_asked(exchange)] = plan

    def _known_plan(self, exchange: PendingExchange) -> _Plan | None:
        """Return the plan for a request like this, if its credentials are still the right ones."""
        plan = self._plans.get(_asked(exchange))
        if plan is None or not plan.is_for(exchange.request):
            return None
        for grant, held in plan.pairs:
            if self._source.held(grant) is not held:
                return None
        return plan


def _asked(exchange: PendingExchange) -> _Asked:
    request = exchange.request
    return request.method, exchange.destination.key, exchange.target, len(request.fields)


class _Plan:
    """The plan for a request, and for others like it: clients repeat themselves."""

    __slots__ = (
        *("_asked_fields", "_has_body"),
        *("credential", "fields", "found", "pairs", "renewable", "secrets", "target", "uses"),
    )

    def __init__(
        self,
        request: RequestHead,
        uses: Sequence[Use],
        found: Sequence[HeldCredential],
        fields: Fields,
        target: str,
    ) -> None:
        """`request`: the client's; `fields` and `target` go upstream in place of its own."""
        self._asked_fields = request.fields
        self._has_body = request.framing != NO_BODY
        self.uses = uses
        self.found = found
        self.pairs = [(use.grant, held) for use, held in zip(uses, found, strict=True)]
        self.fields = fields
        self.target = target
        names = [use.grant.name for use in uses]
        self.credential = _SEPARATOR.join(names)
        self.renewable = any(held.renewable for held in found)
        self.secrets = [
            (name, held.echoes) for name, held in zip(names, found, strict=True) if held.echoes
        ]
        """Secrets to look for in the response, by the name of the grant."""

    def is_for(self, request: RequestHead) -> bool:
        """Tell whether a request is like the one for which the plan was made.

        It has the same method, server and target, by which the plan was found.
        """
        # To compare the fields is faster than to make their hash.
        return (
            request.fields == self._asked_fields
            and (request.framing != NO_BODY) is self._has_body
            and not request.overriding
            and not request.rerouted
        )


def _unusable(use: Use, why: Exception) -> Decision:
    return _denial(f"the credential {use.grant.name} can't be used: {why}")


def _denial(why: str) -> Decision:
    return Decision(Verdict.DENY, _RULE, f"moat: {why}")
