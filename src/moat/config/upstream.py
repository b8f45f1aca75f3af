"""The host's own way out, as its environment tells: a proxy, and certificates of its own.

A run goes the way that its user's other programs go. What they read is written down in the
specification, because a later supervisor may be started from an environment without it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from moat.config.certificates import read_certificates, without
from moat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

# As curl and Python have it: lower case first, the general one last.
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
"""Where the systems keep what every program trusts; the first that is there is the host's."""


class Proxies(NamedTuple):
    """URLs with their ports; empty where there is none."""

    tunnels: str = ""
    """For HTTPS, and all else that needs a tunnel."""
    http: str = ""
    """For plain HTTP."""
    exceptions: str = ""
    """Hosts that are reached without them."""


def upstream_proxies(environment: Mapping[str, str]) -> Proxies:
    """Raises `UsageError` for one that can't be used."""
    exceptions = _first(_EXCEPTIONS, environment)[1]
    if exceptions.strip() == "*":
        return Proxies()
    tunnels, http = (_proxy(*_first(each, environment)) for each in (_FOR_TUNNELS, _FOR_HTTP))
    return Proxies(tunnels, http, exceptions if tunnels or http else "")


def _first(variables: tuple[str, ...], environment: Mapping[str, str]) -> tuple[str, str]:
    """The one that counts, and what it says."""
    variable = next((each for each in variables if environment.get(each)), "")
    return variable, environment.get(variable, "").strip()


def _proxy(variable: str, text: str) -> str:
    if not variable:
        return ""
    # The text itself is in no message: it may hold a password.
    url = text if "://" in text else f"http://{text}"
    # Before it is taken apart: `urlsplit` drops line breaks without a word.
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise _unusable(variable, "holds a character that no URL has")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _unusable(variable, "is not a URL") from None
    if parts.scheme not in _PORTS:
        raise _unusable(variable, f"names a {parts.scheme}:// proxy")
    if not parts.hostname or port == 0 or parts.path.strip("/") or parts.query or parts.fragment:
        raise _unusable(variable, "is not the URL of a proxy")
    user, at, _ = parts.netloc.rpartition("@")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{user}{at}{host}:{port or _PORTS[parts.scheme]}"


def _unusable(variable: str, why: str) -> UsageError:
    return UsageError(
        f"the proxy of this host can't be used: {variable} {why}",
        "Moat goes through http://HOST:PORT and https://HOST:PORT; "
        f"set {variable} to one, or start moat without it",
    )


def redacted(url: str) -> str:
    """A proxy's URL as it may be shown: `http://user:***@proxy:3128`."""
    scheme, separator, rest = url.partition("://")
    login, at, server = rest.rpartition("@")
    if not at:
        return url
    user, colon, _ = login.partition(":")
    # A name alone is most likely a token.
    return f"{scheme}{separator}{f'{user}:***' if colon else '***'}@{server}"


def own_certificates(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Those that OpenSSL's `SSL_CERT_FILE` adds to the system's; none where it names nothing.

    A company's file is most often the system's with one more, and only that one is kept. Raises
    `UsageError` for a file that holds something else.
    """
    named = environment.get("SSL_CERT_FILE")
    # OpenSSL passes over a file that is not there, and so do its programs.
    if not named or not Path(named).exists():
        return ()
    system = next((Path(each) for each in SYSTEM_BUNDLES if Path(each).exists()), None)
    if system is None:
        return read_certificates(Path(named))
    if system.samefile(named):
        return ()
    return without(read_certificates(Path(named)), read_certificates(system))
