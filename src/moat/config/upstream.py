"""The host's own way to the network: proxies, and certificates beyond those of the system.

A run takes the way that its user's other programs take. It is read from the environment once and kept in
the specification, because a later supervisor may be started in an environment without it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from moat.config.certificates import read_certificates, without
from moat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

# The order of curl and Python: lower case first, the variable for all protocols last.
_ANY: Final = ("all_proxy", "ALL_PROXY")
_FOR_TUNNELS: Final = ("https_proxy", "HTTPS_PROXY", *_ANY)
_FOR_HTTP: Final = ("http_proxy", "HTTP_PROXY", *_ANY)
_EXCEPTIONS: Final = ("no_proxy", "NO_PROXY")
_PORTS: Final = {"http": 80, "https": 443}

SYSTEM_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine, Arch, NixOS
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # macOS, OpenBSD
)
"""Files of the certificates that all programs of a system trust; the first that exists is used."""


class Proxies(NamedTuple):
    """URLs of proxies, with their ports; empty where there is no proxy."""

    tunnels: str = ""
    """The proxy for HTTPS and everything else that needs a tunnel."""
    http: str = ""
    """The proxy for plain HTTP."""
    exceptions: str = ""
    """The hosts that are reached without a proxy."""


def upstream_proxies(environment: Mapping[str, str]) -> Proxies:
    """Return the proxies that the environment names. Raises `UsageError` for one that can't be used."""
    exceptions = _first_set(_EXCEPTIONS, environment)[1]
    if exceptions.strip() == "*":
        return Proxies()
    tunnels = _proxy(*_first_set(_FOR_TUNNELS, environment))
    http = _proxy(*_first_set(_FOR_HTTP, environment))
    return Proxies(tunnels, http, exceptions if tunnels or http else "")


def _first_set(variables: tuple[str, ...], environment: Mapping[str, str]) -> tuple[str, str]:
    """Return the first variable that is set, and its value; two empty strings where none is."""
    variable = next((each for each in variables if environment.get(each)), "")
    return variable, environment.get(variable, "").strip()


def _proxy(variable: str, value: str) -> str:
    if not variable:
        return ""
    try:
        return _proxy_url(value)
    except ValueError as exc:
        raise UsageError(
            f"the proxy of this host can't be used: {variable} {exc}",
            "Moat can use http://HOST:PORT and https://HOST:PORT; "
            f"set {variable} to one, or start moat without it",
        ) from None


def _proxy_url(value: str) -> str:
    """Return the complete URL of a proxy.

    Raises `ValueError`, whose message doesn't quote `value`: it may hold a password.
    """
    url = value if "://" in value else f"http://{value}"
    # Checked before the URL is split, because `urlsplit` drops line breaks silently.
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise ValueError("holds a character that no URL has")
    parts, port = _split(url)
    if parts.scheme not in _PORTS:
        raise ValueError(f"names a {parts.scheme}:// proxy")
    if not parts.hostname or port == 0 or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("is not the URL of a proxy")
    login, at, _ = parts.netloc.rpartition("@")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{login}{at}{host}:{port or _PORTS[parts.scheme]}"


def _split(url: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    return parts, port


def redacted(url: str) -> str:
    """Return a proxy's URL as it may be shown: `http://user:***@proxy:3128`."""
    scheme, separator, rest = url.partition("://")
    login, at, server = rest.rpartition("@")
    if not at:
        return url
    user, colon, _ = login.partition(":")
    # A user name without a password is most likely a token.
    return f"{scheme}{separator}{f'{user}:***' if colon else '***'}@{server}"


def own_certificates(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the certificates that `SSL_CERT_FILE` adds to the system's own.

    A company's file mostly holds the system's certificates and one more, and only that one is returned.
    There is none where the variable is unset or names no file. Raises `UsageError` for a file that isn't
    PEM certificates.
    """
    named = environment.get("SSL_CERT_FILE")
    # OpenSSL and the programs that use it ignore a file that doesn't exist.
    if not named or not Path(named).exists():
        return ()
    system = next((Path(each) for each in SYSTEM_BUNDLES if Path(each).exists()), None)
    if system is None:
        return read_certificates(Path(named))
    if system.samefile(named):
        return ()
    return without(read_certificates(Path(named)), read_certificates(system))
