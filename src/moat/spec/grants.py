"""The credentials that a run is granted, where each is used, and what the sandbox sees instead. Pure.

No secret is in here. A grant names a credential of the vault, which the run's supervisor alone decrypts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

SERVICES: Final = "/run/moat"
"""The folder of the sandbox with the sockets at which the run's supervisor serves it."""
SSH_AGENT: Final = "ssh-agent.sock"
"""The socket of the ssh agent, for runs with a grant of `SSH`."""
SSH: Final = "ssh"
"""The provider whose credentials are ssh keys."""

InjectionKind = Literal["header", "basic", "query", "path", "body", "sigv4"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """One way in which a credential comes into requests for some hosts."""

    hosts: tuple[str, ...]
    """Patterns of hosts, in the language of `Network.rules`."""
    ports: tuple[int, ...] = (443,)
    methods: tuple[str, ...] = ()
    """Methods of the requests; empty for all but TRACE and OPTIONS, which get no credential."""
    paths: tuple[str, ...] = ()
    """Patterns of paths, in the language of `Network.rules`; empty for all."""
    kind: InjectionKind = "header"
    name: str = "authorization"
    """The header field, or the parameter of a query."""
    value: str = "Bearer {token}"
    """Value to set; `{token}` stands for that field of the credential. `basic`: `USER:PASSWORD`."""
    replace: bool = False
    """The placeholder is replaced where the client put it; a request without it goes on as it is.

    Otherwise the value is set, and what the client sent in its place is dropped.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxFile:
    """A file that a program of the sandbox needs to see before it uses a credential."""

    path: str
    """Relative to the sandbox's home folder."""
    content: str
    """Holds placeholders, never a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresh:
    """The way to renew a credential with a refresh token (RFC 6749 6)."""

    token_url: str
    """The token endpoint. Requests of the sandbox to it are refused: its answers hold new tokens."""
    client_id: str = ""
    client_secret: str = ""
    """The client secret of a program which everybody can download, and so no secret (RFC 8252 8.5)."""
    json_body: bool = False
    """The endpoint takes JSON, against the standard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A credential that a run may use, and never holds."""

    provider: str
    scope: str = ""
    """The part of `PROVIDER:SCOPE` after the colon: a host for `ssh`, else the provider's own word."""
    profile: str = "default"
    injections: tuple[Injection, ...] = ()
    placeholders: Mapping[str, str] = field(default_factory=dict[str, str])
    """Stand-ins for the secret fields, which the sandbox sees; made for this run alone."""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variables of the sandbox; they hold placeholders."""
    files: tuple[SandboxFile, ...] = ()
    hosts: tuple[str, ...] = ()
    """Further hosts that the grant opens; they get no credential."""
    tcp: tuple[str, ...] = ()
    """`host:port` to which the grant opens raw TCP: what ssh needs."""
    account: str = ""
    """The account, where the provider has told it."""
    refresh: Refresh | None = None
    agent: str = ""
    """The path of the user's own ssh agent, for a key that lies there and not in the vault."""

    @property
    def name(self) -> str:
        """The grant as users write it, and as the record names it."""
        named = f"{self.provider}:{self.scope}" if self.scope else self.provider
        return named if self.profile == "default" else f"{named}@{self.profile}"
