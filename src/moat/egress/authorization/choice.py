"""The grants of a run, and which of them a request uses. Pure.

A request uses a grant where one of its injections is about the request's host, port, method and path:
over TLS alone, because then the server has proved its name, and DNS, SNI and Host agree on it. Requests
that a server may send back (TRACE) or answer without looking (OPTIONS) get no credential.

Two grants for one host are told apart by their placeholders. A request with a credential of its own is
refused, because it would act for somebody else: what the agent reads would end in an account of the
attacker's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from moat.egress.authorization import places
from moat.spec.grants import Grant, Injection  # noqa: TC001  a compiled dataclass evaluates them
from moat.spec.request_path import has_dot_segments, interpretations
from moat.spec.rules import Rule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moat.egress.http.interfaces import Destination
    from moat.egress.http.messages import RequestHead

_NO_CREDENTIAL: Final = frozenset(("TRACE", "OPTIONS", "CONNECT"))
_CACHE_LIMIT: Final = 1024
"""Hosts of which it is remembered which injections are about them."""


@dataclass(frozen=True, slots=True)
class Use:
    """A grant that a request uses, and the ways in which it comes in."""

    grant: Grant
    injections: tuple[Injection, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """The reason why a request is refused, in one line."""

    why: str


class Grants:
    """All grants of a run."""

    def __init__(self, grants: Sequence[Grant]) -> None:
        self._injections = [
            _Compiled(grant, injection) for grant in grants for injection in grant.injections
        ]
        self._about: dict[tuple[str, int], list[_Compiled]] = {}
        self._renewals = [
            (grant.name, _rule_of(grant.refresh.token_url))
            for grant in grants
            if grant.refresh is not None
        ]

    def concern(self, destination: Destination) -> bool:
        """Tell whether a request to this server may use a grant."""
        scheme, host, port = destination.key
        if scheme != "https":
            return False
        return bool(self._of_host(host, port)) or self._renews_at(host, port)

    def uses(
        self, request: RequestHead, destination: Destination, target: str
    ) -> Sequence[Use] | Refusal:
        """Return the grants that a request uses, mostly none, or why it is refused."""
        renewed = self._renewed_at(destination, target)
        if renewed:
            return Refusal(
                f"Moat renews {renewed} outside: its token endpoint gives no run new tokens"
            )
        matching = self._matching(request, destination, target)
        if not matching:
            return ()
        carried = _Carried(request, target)
        chosen = _chosen(matching, carried)
        if isinstance(chosen, Refusal):
            return chosen
        foreign = carried.foreign(chosen)
        if foreign:
            return Refusal(
                f"the request to {destination.host} has a credential of its own ({foreign})"
                f" beside the grant {chosen[0].grant.name}"
            )
        missing = carried.missing_in_path(chosen)
        if missing:
            return Refusal(
                f"the path lacks the placeholder of {missing}: it may have another credential"
            )
        return _by_grant(chosen)

    def candidates(
        self, request: RequestHead, destination: Destination, target: str
    ) -> Sequence[Grant]:
        """Return the grants of which a request may use one."""
        matching = self._matching(request, destination, target)
        return list({id(each.grant): each.grant for each in matching}.values())

    def _renews_at(self, host: str, port: int) -> bool:
        return any(rule.matches_host(host, port) for _, rule in self._renewals)

    def _renewed_at(self, destination: Destination, target: str) -> str:
        """Return the name of the grant that is renewed by such a request; empty if none is."""
        _, host, port = destination.key
        if not self._renews_at(host, port):
            return ""
        readings, clear = interpretations(target)
        for name, rule in self._renewals:
            if rule.matches_host(host, port) and (
                not clear or any(rule.matches_path(reading) for reading in readings)
            ):
                return name
        return ""

    def _matching(
        self, request: RequestHead, destination: Destination, target: str
    ) -> list[_Compiled]:
        scheme, host, port = destination.key
        about = self._of_host(host, port)
        if not about or scheme != "https" or request.method in _NO_CREDENTIAL:
            return []
        if places.values_of(request.fields, b"max-forwards"):
            return []  # a proxy on the way may send the request back (RFC 9110 7.6.2)
        return [each for each in about if each.matches(request, target)]

    def _of_host(self, host: str, port: int) -> list[_Compiled]:
        found = self._about.get((host, port))
        if found is None:
            if len(self._about) >= _CACHE_LIMIT:
                self._about.clear()
            found = [each for each in self._injections if each.is_about(host, port)]
            self._about[host, port] = found
        return found


class _Compiled:
    """An injection with its patterns compiled."""

    __slots__ = ("_methods", "_paths", "_rules", "grant", "injection")

    def __init__(self, grant: Grant, injection: Injection) -> None:
        self.grant = grant
        self.injection = injection
        self._rules = [
            Rule.parse(f"allow {host}:{port}")
            for host in injection.hosts
            for port in injection.ports
        ]
        self._paths = [Rule.parse(f"allow host{path}") for path in injection.paths]
        self._methods = frozenset(injection.methods)

    def is_about(self, host: str, port: int) -> bool:
        return any(rule.matches_host(host, port) for rule in self._rules)

    def matches(self, request: RequestHead, target: str) -> bool:
        """Tell whether the method and the path are meant, however a server reads them."""
        if not self._methods and not self._paths:
            return True
        if request.overriding or request.rerouted:
            return False
        if self._methods and request.method not in self._methods:
            return False
        if not self._paths:
            return True
        if has_dot_segments(target):
            return False
        readings, clear = interpretations(target)
        return clear and all(
            any(rule.matches_path(reading) for rule in self._paths) for reading in readings
        )

    @property
    def field(self) -> bytes | None:
        """The plain name of the header field that it sets."""
        kind = self.injection.kind
        if kind in {"basic", "sigv4"}:
            return b"authorization"
        return places.plain_name(self.injection.name.encode()) if kind == "header" else None


class _Carried:
    """The credentials that a request carries."""

    def __init__(self, request: RequestHead, target: str) -> None:
        self._target = target
        self._fields: dict[bytes, list[tuple[str, ...]]] = {}
        """The values of each field, as they were sent and decoded."""
        for name, value in request.fields:
            plain = places.plain_name(name)
            userinfo = places.userinfo_of(value) if plain == b"authorization" else None
            texts = (value.decode("latin-1"), *(() if userinfo is None else (userinfo,)))
            self._fields.setdefault(plain, []).append(texts)

    def names(self, grant: Grant) -> bool:
        """Tell whether the request names a grant by one of its placeholders."""
        known = grant.placeholders.values()
        return places.mentions((self._target,), known) or any(
            places.mentions(texts, known) for values in self._fields.values() for texts in values
        )

    def foreign(self, chosen: Sequence[_Compiled]) -> str:
        """Return the name of a place with a credential that is no grant's; empty if there is none.

        What a grant sets itself is not looked at, for it is dropped.
        """
        known = [text for each in chosen for text in each.grant.placeholders.values()]
        ours = {each.field for each in chosen if each.field is not None}
        fields = places.CREDENTIAL_FIELDS | ours
        dropped = {each.field for each in chosen if not each.injection.replace}
        for plain in fields & self._fields.keys() - dropped:
            # Of two values a server may take either.
            if not all(places.mentions(texts, known) for texts in self._fields[plain]):
                return plain.decode()
        queries = [each.injection for each in chosen if each.injection.kind == "query"]
        parameters = places.CREDENTIAL_PARAMETERS | {each.name.lower() for each in queries}
        dropped_parameters = {each.name.lower() for each in queries if not each.replace}
        for name, text in places.parameters(self._target):
            if name in parameters - dropped_parameters and not places.mentions((text,), known):
                return f"?{name}="
        return ""

    def missing_in_path(self, chosen: Sequence[_Compiled]) -> str:
        """Return the name of a grant whose one place is the path, where it isn't; empty if none is.

        Another credential may stand there, which nothing tells from the rest of the path.
        """
        path = self._target.partition("?")[0]
        elsewhere = {id(each.grant) for each in chosen if each.injection.kind != "path"}
        for each in chosen:
            named = places.mentions((path,), each.grant.placeholders.values())
            if not named and id(each.grant) not in elsewhere:
                return each.grant.name
        return ""


def _rule_of(url: str) -> Rule:
    parts = urlsplit(url)
    return Rule.parse(f"allow {parts.hostname}:{parts.port or 443}{parts.path or '/'}")


def _chosen(matching: list[_Compiled], carried: _Carried) -> list[_Compiled] | Refusal:
    """Return the injections of the grants that a request names, or of the only one that there is."""
    grants = list({id(each.grant): each.grant for each in matching}.values())
    named = [grant for grant in grants if carried.names(grant)]
    if not named and len(grants) > 1:
        names = ", ".join(grant.name for grant in grants)
        return Refusal(f"several grants are for this host ({names}), and it names none of them")
    return [each for each in matching if each.grant in (named or grants)]


def _by_grant(chosen: Sequence[_Compiled]) -> list[Use]:
    found: dict[int, tuple[Grant, list[Injection]]] = {}
    for each in chosen:
        found.setdefault(id(each.grant), (each.grant, []))[1].append(each.injection)
    return [Use(grant, tuple(injections)) for grant, injections in found.values()]
